"""Conversations to learn from, made of captioned pictures, of facts that nobody knows, and of the
documentation of free software.

What they teach is pocket's whole task: to read the one value that was asked for out of numbered
sources, to cite it, to tell pictures apart, and to say so where the answer is not there. Hardly
anything in them is a fact of the world, so that nothing can be known by heart.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from scripts.pocket import pictures
from scripts.pocket.checks import checks
from scripts.pocket.documented import DocumentedMaker
from scripts.pocket.lists import ListMaker
from scripts.pocket.options import OptionMaker
from scripts.pocket.pictorial import Picture, PictureMaker
from scripts.pocket.rows import Row
from scripts.pocket.textual import TextMaker

# How often each kind of page is made. A page has one to a dozen questions.
MIX = {
    "text": 60, "lists": 24, "two_sources": 12, "two_facts": 10, "two_steps": 20, "docs": 10,
    "options": 24, "follow_up": 10, "name": 16, "which": 12, "absent": 10, "is_there": 10, "picture_and_text": 20,
    "described": 6,
}  # fmt: skip

_CHECKED = 0.5  # share of the pages on which answers are looked at, too


class Maker:
    """Makes conversations of every kind; the same seed makes the same ones.

    Raises:
        UsageError: too few pictures to tell apart.
    """

    def __init__(self, shown: list[Picture], seed: int, held_out: bool = False) -> None:
        self._chance = random.Random(seed)
        texts = TextMaker(self._chance, held_out)
        self._pictures = PictureMaker(shown, self._chance, texts.writer)
        documented = DocumentedMaker(self._chance, held_out)
        options = OptionMaker(self._chance, held_out)
        lists = ListMaker(self._chance, held_out, texts.writer)
        self._makers = (texts, documented, options, lists, self._pictures)

    def caption(self) -> Row:
        """Stage 1: what a picture shows."""
        return self._pictures.caption()

    def page(self, kind: str) -> list[Row]:
        """Questions about the same sources; the kind is one of ``MIX``."""
        maker = next(one for one in self._makers if hasattr(one, kind))
        rows: list[Row] = getattr(maker, kind)()
        return [*rows, *(checks(rows, self._chance) if self._chance.random() < _CHECKED else ())]

    def pages(self, turns: int) -> list[Row]:
        """At least so many rows of the mix, those of a page one after another."""
        rows: list[Row] = []
        while len(rows) < turns:
            rows += self.page(self._chance.choices(list(MIX), list(MIX.values()))[0])
        return rows


def make(listed: Path, split: str, captions: int, turns: int, out: Path, seed: int) -> None:
    """Write ``captions.json`` (stage 1) and ``conversations.json`` (stage 2)."""
    shown = [(row.image, row.caption) for row in pictures.read(listed) if row.split == split]
    maker = Maker(shown, seed, held_out=split != "train")
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "captions.json", [maker.caption() for _ in range(captions)])
    _write(out / "conversations.json", maker.pages(turns))


def _write(file: Path, rows: list[Row]) -> None:
    numbered = [{"id": f"{file.stem}-{n}", **row} for n, row in enumerate(rows)]
    file.write_text(json.dumps(numbered, ensure_ascii=False, indent=0), "utf-8")
