"""The prompt of a retrieval-augmented turn, and where its tokens go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

from ragvis.composer.neutral import neutral
from ragvis.conversation import IMAGE_TOKEN, find_template, render
from ragvis.errors import PromptTooLong
from ragvis.prompts import GROUNDED_SYSTEM, labelled
from ragvis.types import Dropped, Hit, Ledger, Placement, Source

Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """What the composer has to know of a model."""

    template: str
    context_limit: int  # tokens, prompt and answer together
    pixels: int  # most retrieved pictures that enter as pixels
    count: Callable[[str], int]  # tokens of a prompt string, <image> as one, BOS included
    picture_tokens: Callable[[Sequence[Size]], int]  # tokens pictures of these sizes become
    special_tokens: tuple[str, ...] = ()  # of its tokenizer

    @property
    def markers(self) -> tuple[str, ...]:
        """What text from outside must not contain."""
        return (*find_template(self.template).markers, *self.special_tokens)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture that came with the question, and what the index knows of it."""

    hit: Hit
    size: Size
    known_as: str = ""  # caption or title of the indexed picture that shows the same


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be placed."""

    answer: int = 256  # tokens kept free for the answer
    passages: int = 4
    images: int = 2


@dataclass(frozen=True, slots=True)
class Composed:
    """A prompt, the sources in it by number, and its ledger."""

    prompt: str
    sources: tuple[Source, ...]
    ledger: Ledger

    @property
    def pixel_sources(self) -> tuple[Source, ...]:
        """The sources whose pictures go in, in the order of their ``<image>`` tokens."""
        return tuple(s for s in self.sources if s.placed == "pixels")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A source before it has a number."""

    hit: Hit
    placed: Placement
    size: Size = (0, 0)
    fixed: bool = False  # came with the question: never dropped
    known_as: str = ""


def compose(
    question: str,
    hits: Sequence[Hit],
    attachments: Sequence[Attachment],
    sizes: Mapping[str, Size],
    spec: PromptSpec,
    room: Room = Room(),
    unopened: Mapping[str, str] = MappingProxyType({}),
) -> Composed:
    """Place what fits, best first.

    Args:
        question: as asked; it is always placed whole.
        hits: passages and pictures, best first.
        attachments: pictures that came with the question; placed first, never dropped.
        sizes: pixel size of each picture hit by id.
        spec: the model's template, limits and counts.
        room: how much to place.
        unopened: why a picture hit could not be opened, by id; it is left out.

    Raises:
        PromptTooLong: question and attachments alone do not fit.
    """
    pieces, dropped = _select(hits, attachments, sizes, spec, room, unopened)
    while True:
        composed = _write(question, pieces, spec, room, tuple(dropped))
        over = composed.ledger.total + room.answer - spec.context_limit
        if over <= 0:
            return composed
        worst = _worst(pieces)
        if worst is None:
            raise PromptTooLong(
                f"the question takes {composed.ledger.total} tokens; the model has room for "
                f"{spec.context_limit}, {room.answer} of them kept for the answer",
                "Ask in fewer words, or with fewer pictures.",
            )
        pieces = [p for p in pieces if p is not worst]
        without = _write(question, pieces, spec, room, ()).ledger.total
        tokens = composed.ledger.total - without
        dropped.append(Dropped(worst.hit.id, "no room in the context", tokens))


def _select(
    hits: Sequence[Hit],
    attachments: Sequence[Attachment],
    sizes: Mapping[str, Size],
    spec: PromptSpec,
    room: Room,
    unopened: Mapping[str, str],
) -> tuple[list[_Piece], list[Dropped]]:
    pieces = [_Piece(a.hit, "pixels", a.size, True, a.known_as) for a in attachments]
    # A photo with the question makes room for one picture more, to compare it with.
    pixels_left = max(0, spec.pixels + bool(attachments) - len(attachments))
    dropped: list[Dropped] = []
    images = [h for h in hits if h.modality == "image"]
    for hit in images[: room.images]:
        if hit.id in unopened:
            dropped.append(Dropped(hit.id, unopened[hit.id], 0))
        elif pixels_left > 0:
            pieces.append(_Piece(hit, "pixels", sizes[hit.id]))
            pixels_left -= 1
        elif hit.text:
            pieces.append(_Piece(hit, "caption"))
        else:
            reason = "this model takes no further picture, and this one has no caption"
            dropped.append(Dropped(hit.id, reason, 0))
    passages = [h for h in hits if h.modality == "text"]
    pieces += [_Piece(h, "text") for h in passages[: room.passages]]
    return pieces, dropped


def _worst(pieces: Sequence[_Piece]) -> _Piece | None:
    """The lowest score; of equals the last placed."""
    loose = [p for p in reversed(pieces) if not p.fixed]
    return min(loose, key=lambda p: p.hit.score, default=None)


def _write(
    question: str,
    pieces: Sequence[_Piece],
    spec: PromptSpec,
    room: Room,
    dropped: tuple[Dropped, ...],
) -> Composed:
    lines = [_line(n, piece, spec.markers) for n, piece in enumerate(pieces, 1)]
    split = sum(p.placed != "text" for p in pieces)
    images, passages = "\n".join(lines[:split]), "\n".join(lines[split:])
    if images and passages:
        images += "\n"
    asked = f"Question: {neutral(question, spec.markers)}"
    fixed = find_template(spec.template).fixed_system
    instruction = f"\n\n{GROUNDED_SYSTEM}" if fixed else ""
    parts = (images, passages, instruction, f"\n\n{asked}")
    prompt = _render(spec.template, "".join(parts).lstrip("\n"), fixed)
    ledger = _ledger(prompt, parts, pieces, spec, room, dropped)
    sources = (Source(n, p.hit, p.placed) for n, p in enumerate(pieces, 1))
    return Composed(prompt, tuple(sources), ledger)


def _render(template_name: str, user: str, fixed_system: bool) -> str:
    turns: list[dict[str, str | None]] = [
        {"role": "user", "content": user},
        {"role": "assistant", "content": None},
    ]
    return render(template_name, turns, None if fixed_system else GROUNDED_SYSTEM)


def _line(n: int, piece: _Piece, markers: tuple[str, ...]) -> str:
    hit = piece.hit
    if piece.placed == "text":
        label = neutral(labelled("text", hit.name, hit.page), markers)
        return f"[{n}] {label}: {neutral(_titled(hit), markers)}"
    label = labelled("image", hit.name, hit.page)
    known = piece.known_as or hit.text or ""
    line = f"[{n}] " + neutral(f"{label} — {known}" if known else label, markers)
    return f"{IMAGE_TOKEN}\n{line}" if piece.placed == "pixels" else line


def _titled(hit: Hit) -> str:
    """The passage, opened by the titles that it does not name itself."""
    text = hit.text or ""
    words = " ".join(text.split()).lower()
    missing = [
        t for t in (hit.title, hit.section) if t and " ".join(t.split()).lower() not in words
    ]
    return ": ".join([*dict.fromkeys(missing), text])


def _ledger(
    prompt: str,
    parts: tuple[str, str, str, str],
    pieces: Sequence[_Piece],
    spec: PromptSpec,
    room: Room,
    dropped: tuple[Dropped, ...],
) -> Ledger:
    """Tokens by part. Counting ever longer beginnings makes the parts add up to the whole."""
    body = "".join(parts).lstrip("\n")
    start = prompt.index(body)
    ends = [start]
    for part in parts[:-1]:
        ends.append(min(ends[-1] + len(part), len(prompt)))
    counts = [spec.count(prompt[:end]) for end in (*ends, len(prompt))]
    head, images, passages, instruction, question = _steps(counts)
    pixels = [p for p in pieces if p.placed == "pixels"]
    extra = spec.picture_tokens([p.size for p in pixels]) - len(pixels)
    return Ledger(
        spec.context_limit,
        room.answer,
        head + instruction,
        images + extra,
        passages,
        0,
        question,
        counts[-1] + extra,
        dropped,
    )


def _steps(counts: Sequence[int]) -> list[int]:
    return [counts[0], *(b - a for a, b in pairwise(counts))]


def mark_cited(sources: Sequence[Source], numbers: set[int]) -> tuple[Source, ...]:
    """The sources, with those marked that the answer cites."""
    return tuple(replace(s, cited=s.n in numbers) for s in sources)
