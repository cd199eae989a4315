"""Examples in LLaVA's conversation JSON."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ragvis.conversation import IMAGE_TOKEN
from ragvis.prompts import GROUNDED_SYSTEM, NOT_FOUND, POCKET_CHAT_SYSTEM, labelled
from scripts.pocket.values import Values

Row = dict[str, Any]
Shown = tuple[str, str]  # a picture's file, "" where words stand for it; what its label says, or ""

_SAME_FILE = 0.3  # share of the passages that come from the file of the one before


class Sheet:
    """Numbered sources as a prompt has them, pictures first; any number of questions about them."""

    def __init__(
        self, chance: random.Random, pictures: Sequence[Shown], passages: Sequence[str]
    ) -> None:
        values = Values(chance)
        self._files = [file for file, _ in pictures if file]
        self._lines: list[str] = []
        for n, (file, known) in enumerate(pictures, 1):
            label = labelled("image", f"img_{chance.randrange(10_000):04}.png")
            self._lines += [IMAGE_TOKEN] if file else []
            self._lines.append(f"[{n}] {label} — {known}" if known else f"[{n}] {label}")
        file = values.make("document_file")
        for n, text in enumerate(passages, len(pictures) + 1):
            if chance.random() > _SAME_FILE:
                file = values.make("document_file")
            self._lines.append(f"[{n}] {labelled('text', file)}: {text}")

    def row(self, kind: str, asked: str, answer: str = "", gold: str = "") -> Row:
        """A question about them; without an answer, one that they leave open."""
        turns = [("human", "\n".join(self._lines) + f"\n\nQuestion: {asked}")]
        turns.append(("gpt", answer or NOT_FOUND))
        return _row(kind, self._files, turns, GROUNDED_SYSTEM, gold or NOT_FOUND)


def bare(kind: str, file: str, asked: str, answer: str, gold: str) -> Row:
    """A question about one picture, with no sources."""
    turns = [("human", f"{IMAGE_TOKEN}\n{asked}"), ("gpt", answer)]
    return _row(kind, [file], turns, POCKET_CHAT_SYSTEM, gold)


def cited(sentence: str, *sources: int) -> str:
    """The sentence with its sources before the full stop."""
    return f"{sentence} {''.join(f'[{n}]' for n in sources)}."


def upper(text: str) -> str:
    """As a sentence begins."""
    return text[:1].upper() + text[1:]


def _row(
    kind: str, files: Sequence[str], turns: Sequence[tuple[str, str]], system: str, gold: str
) -> Row:
    row: Row = {"kind": kind, "gold": gold, "system": system}
    row |= {"image": list(files)} if files else {}
    return row | {"conversations": [{"from": who, "value": text} for who, text in turns]}
