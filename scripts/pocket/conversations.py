"""LLaVA's own conversation JSON: read, written as a template writes it, and labelled for training.

The format is that of haotian-liu/LLaVA (docs/Finetune_Custom_Data.md): a list of ``{"id", "image",
"conversations": [{"from": "human" | "gpt", "value"}]}``. Two things are added to it: ``image`` may
be a list, one for each ``<image>``; and ``system`` replaces the template's own system text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ragvis.conversation import IMAGE_TOKEN, find_template, image_first, render
from ragvis.errors import UsageError

IGNORED = -100  # label of a token that is not to be learned
_OPEN = {"role": "assistant", "content": None}
_ROLES = {"human": "user", "gpt": "assistant"}
_SHAPE = 'A list of {"id", "image", "conversations": [{"from": "human" or "gpt", "value"}]}.'


@dataclass(frozen=True, slots=True)
class Conversation:
    """One example.

    Attributes:
        id: for logs.
        images: files, in the order of the ``<image>`` in the messages.
        messages: as ``ragvis.conversation.render`` takes them.
        system: replaces the template's own, if not None.
        gold: what an evaluation looks for in the last answer; "" where there is nothing to say.
        kind: what it teaches, for evaluations.
    """

    id: str
    images: tuple[Path, ...]
    messages: tuple[dict[str, str], ...]
    system: str | None = None
    gold: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens of a conversation: what is learned has its id as its label, all else ``IGNORED``."""

    ids: list[int]
    labels: list[int]
    images: tuple[Path, ...] = field(default=())


def read(file: Path, images: Path | None = None) -> list[Conversation]:
    """Conversations of a JSON file.

    Args:
        file: JSON in LLaVA's form.
        images: folder that ``image`` is relative to; None is the file's own.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        rows = json.loads(file.read_text("utf-8"))
        folder = images or file.parent
        return [_conversation(row, folder, str(n)) for n, row in enumerate(rows)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file}: {type(error).__name__}: {error}", _SHAPE) from error


def _conversation(row: dict[str, Any], folder: Path, number: str) -> Conversation:
    named = row.get("image") or []
    images = tuple(folder / name for name in ([named] if isinstance(named, str) else named))
    turns = row["conversations"]
    messages = [{"role": _ROLES[t["from"]], "content": str(t["value"])} for t in turns]
    marks = [m["content"].count(IMAGE_TOKEN) for m in messages]
    if sum(marks) != len(images):
        raise ValueError(f"{row.get('id', number)} has {len(images)} images, {sum(marks)} places")
    if len(images) == 1:  # as the official code does: the picture first, whatever the data says
        n = marks.index(1)
        messages[n] = {**messages[n], "content": image_first(messages[n]["content"])}
    about = {name: str(row.get(name, "")) for name in ("gold", "kind")}
    return Conversation(
        str(row.get("id", number)), images, tuple(messages), row.get("system"), **about
    )


def written(one: Conversation, template: str) -> tuple[str, list[tuple[int, int]]]:
    """A conversation as its template writes it, and where the answers stand in it, [start, end).

    An answer ends with what ends it for the model; what the template writes after that (a line
    end, in ChatML) is not learned. "plain" is the layout of LLaVA's first stage: the picture
    and its caption, and no word of anybody's.
    """
    if template == "plain":
        caption = one.messages[-1]["content"] + find_template("plain").sep
        return IMAGE_TOKEN + caption, [(len(IMAGE_TOKEN), len(IMAGE_TOKEN) + len(caption))]
    spans = []
    for n, message in enumerate(one.messages):
        if message["role"] == "assistant":
            opened: list[dict[str, Any]] = [*one.messages[:n], _OPEN]
            start = len(render(template, opened, one.system))
            end = len(render(template, one.messages[: n + 1], one.system))
            spans.append((start, end))
    text = render(template, one.messages, one.system)
    return text, [(start, _trimmed(text, start, end, template)) for start, end in spans]


def _trimmed(text: str, start: int, end: int, template: str) -> int:
    for stop in find_template(template).stop:
        place = text.rfind(stop, start, end)
        if place >= 0:
            return place + len(stop)
    return end


def encode(
    one: Conversation, template: str, tokenizer: Any, picture_tokens: int, longest: int
) -> Encoded | None:
    """Token ids and labels, or None where it is too long: cut in two it would teach nonsense.

    Args:
        one: the conversation.
        template: of ``ragvis.conversation``, or "plain".
        tokenizer: a fast one; ``<image>`` is one of its tokens.
        picture_tokens: what a picture becomes.
        longest: tokens.
    """
    text, spans = written(one, template)
    whole = find_template(template).is_whole
    found = tokenizer(text, add_special_tokens=not whole, return_offsets_mapping=True)
    image = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    ids: list[int] = []
    labels: list[int] = []
    for token, place in zip(found.input_ids, found.offset_mapping, strict=True):
        times = picture_tokens if token == image else 1
        learned = token != image and _is_within(place, spans)
        ids += [token] * times
        labels += [token if learned else IGNORED] * times
    return Encoded(ids, labels, one.images) if len(ids) <= longest else None


def _is_within(place: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    start, end = place
    return end > start and any(first <= start and end <= last for first, last in spans)
