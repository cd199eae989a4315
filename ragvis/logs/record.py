"""An answer as it is logged: what was asked of what, what entered the model, and what it said."""

from __future__ import annotations

import functools
import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis.assistant.history import Said
from ragvis.composer import Attachment, Turn
from ragvis.index import picture_of
from ragvis.prompts import is_refusal
from ragvis.types import SCHEMA_VERSION, Hit, Source

if TYPE_CHECKING:
    from ragvis.assistant import AnswerStream, VisionChat

_PACKAGES = (
    "ragvis",
    "torch",
    "transformers",
    "tokenizers",
    "bitsandbytes",
    "open-clip-torch",
    "timm",
    "faiss-cpu",
    "faiss-gpu",
    "pillow",
)


def record_of(stream: AnswerStream) -> dict[str, Any]:
    """A record of an answer that was read to its end."""
    answer, said = stream.answer, stream.said
    index = str(Path(answer.index.path).absolute()) if answer.index else None
    asked = {
        "question": stream.question,
        "images": [one.hit.file for one in said.attachments],
        **asdict(stream.options),
        "model": asdict(stream.assistant.choice),
        "index": index,
    }
    return _record(asked, answer.to_dict(), answer.prompt, _turn_to_dict(said))


def record_of_picture_chat(chat: VisionChat) -> dict[str, Any]:
    """A record of the last answer of a conversation about a picture."""
    question, said = chat.transcript[-2:]
    asked = {
        "question": question.text,
        "images": [chat.hit.file],
        "sampling": asdict(chat.drawn),
        "system": chat.system,
        "refuse": chat.refuse,
        "model": asdict(chat.choice),
        "index": None,
    }
    answer = {
        "question": question.text,
        "answer": said.text,
        "abstained": is_refusal(said.text),
        "sources": [Source(1, chat.hit, "pixels").to_dict()],
        "model": asdict(chat.generator.info),
        "index": None,
        "usage": chat.generator.usage.tokens,
        "finish_reason": chat.generator.usage.finish_reason,
    }
    return _record(asked, answer, chat.prompt, None)


def _record(
    asked: dict[str, Any], answer: dict[str, Any], prompt: str, turn: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "asked": asked,
        "answer": answer,
        "prompt": prompt,
        "turn": turn,
        "versions": versions(),
    }


def said_of(record: dict[str, Any]) -> Said:
    """What a conversation remembers of a logged answer.

    Raises:
        BadFile: a picture that was shown to the model is gone, or is another one now.
    """
    turn, answer = record["turn"], record["answer"]
    placed = {s["n"]: source_of(s) for s in answer["sources"]}
    sources = tuple(placed[n] for n in turn["sources"] if n in placed)
    brought = {one["id"] for one in turn["attached"]}
    shown = [s.hit for s in placed.values() if s.placed == "pixels" or s.hit.id in brought]
    pictures = {hit.id: picture_of(hit) for hit in shown}
    hits = {s.hit.id: s.hit for s in sources}
    attachments = [
        Attachment(hits[a["id"]], (a["size"][0], a["size"][1]), a["known_as"])
        for a in turn["attached"]
    ]
    sizes = tuple((width, height) for width, height in turn["sizes"])
    made = Turn(turn["body"], answer["answer"], sources, sizes)
    question = record["asked"]["question"]
    return Said(question, answer["abstained"], made, turn["kept"], attachments, pictures)


def source_of(value: dict[str, Any]) -> Source:
    """The source that became this JSON."""
    own = {name: value[name] for name in ("n", "placed", "cited")}
    own["note"] = value.get("note", "")  # older records have none
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    kept: dict[str, Any] = {k: v for k, v in lists.items() if k not in own}
    return Source(hit=Hit(**kept), **own)


@functools.cache
def versions() -> dict[str, str]:
    """What answers depend on beside the model: Python, this machine, and the packages."""
    found = {"python": platform.python_version(), "machine": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # one of two that do the same, as faiss-cpu and faiss-gpu
    return found


def _turn_to_dict(said: Said) -> dict[str, Any]:
    turn = said.turn
    return {
        "body": turn.body,
        "sources": [s.n for s in turn.sources],
        "sizes": turn.sizes,
        "kept": said.kept,
        "attached": [
            {"id": a.hit.id, "size": a.size, "known_as": a.known_as} for a in said.attachments
        ],
    }
