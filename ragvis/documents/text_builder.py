"""Text out of a tree of paragraphs, tables and headings: readers say what comes, in order.

Whether a row of a table is a line of values or a frame around whole paragraphs is known only at
its end, so tokens are collected and become text at last. The time is linear in the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from ragvis.documents.model import MAX_TEXT, storable
from ragvis.documents.table import Slot
from ragvis.documents.text_tokens import (
    Break,
    HeadingStart,
    Place,
    Separator,
    Story,
    Token,
    render,
)
from ragvis.errors import BadFile

_LONG = 1000  # characters of a cell of several paragraphs that are kept apart
_EXPONENTS = frozenset("0123456789+-\u2212")
_TAIL = 3  # letters of a word; units are shorter
_LABEL = 80  # characters of a merged cell that is said again in each row that it covers


@dataclass(slots=True)
class _OpenCell:
    key: Hashable
    start: int  # index of its first token
    is_merged: bool
    characters: int = 0
    paragraphs: int = 0
    has_heading: bool = False
    has_more: bool = False  # beside its heading


@dataclass(slots=True)
class _OpenRow:
    slots: Sequence[Slot]
    next_slot: int = 0
    columns: int = 0  # written so far
    is_layout: bool = False
    has_text: bool = False
    cell: _OpenCell | None = None
    # indexes of the tokens that depend on what kind of row it is
    breaks: list[int] = field(default_factory=list)
    separators: list[int] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)


class TextBuilder:
    """Collects text, breaks, headings, rows and places; ``story`` makes the text of them."""

    def __init__(self) -> None:
        self._tokens: list[Token] = []
        self._rows: list[_OpenRow] = []
        self._heading: int | None = None  # index of the open heading's token
        self.is_spaced = True  # white space comes last, or nothing has come yet
        self._is_broken = True  # the same of a line's end
        self._tail = ""  # the last characters
        self._is_raised = False
        self._merged: dict[Hashable, str] = {}  # what merged cells say
        self._characters = 0

    def write(self, text: str) -> None:
        """Add text as it is. Text of several lines is no cell of a line.

        Raises:
            BadFile: the document is too long.
        """
        if not text:
            return
        if self._is_raised and _is_apart(self._tail, text):
            text = "^" + text
        self._is_raised = False
        if self._rows and not text.isspace():
            self._note_text(self._rows[-1], text)
        self._put(text)
        self.is_spaced = text[-1].isspace()
        self._tail = (self._tail + text[-_TAIL:])[-_TAIL:]
        self._is_broken = self._is_broken and text.isspace()

    def write_inline(self, text: str) -> None:
        """Add text in which every run of white space is one space."""
        words = re.sub(r"\s+", " ", text)
        self.write(words.lstrip() if self.is_spaced else words)

    def raise_next(self, is_raised: bool = True) -> None:
        """The next text is a superscript. A number above a number or a word is kept apart from it
        by a ``^``: ten to the sixth is not 106, and a word is found beside the mark of its note."""
        self._is_raised = is_raised

    def add_break(self, kind: Break) -> None:
        """End the word, the line or the paragraph where it has not ended yet."""
        self._tail = ""
        if self._rows:
            self._rows[-1].breaks.append(len(self._tokens))
        self._tokens.append(kind)
        self.is_spaced = True
        self._is_broken |= kind >= Break.LINE

    def mark(self, key: Hashable) -> None:
        """Remember this place, such as a picture's, under a key."""
        self._tokens.append(Place(key))
        if self._rows and self._rows[-1].cell:
            self._rows[-1].cell.has_more = True

    def start_heading(self) -> bool:
        """Begin a heading; False within another one, which goes on."""
        if self._heading is not None:
            return False
        self._heading = len(self._tokens)
        if self._rows:
            self._rows[-1].headings.append(self._heading)
        self._tokens.append(HeadingStart(""))
        return True

    def end_heading(self) -> None:
        """End the open heading; one without text is none."""
        assert self._heading is not None
        start, self._heading = self._heading, None
        title = self._text_since(start)
        self._tokens[start] = HeadingStart(title) if title else ""
        if title and self._rows and self._rows[-1].cell:
            self._rows[-1].cell.has_heading = True

    def start_row(self, slots: Sequence[Slot] = ()) -> None:
        """Begin a row of a table, whose merged cells are told by ``slots``."""
        if self._rows:
            self._rows[-1].is_layout = True  # its cell holds a table
        self._rows.append(_OpenRow(slots))

    def start_cell(self, key: Hashable) -> None:
        """Begin the row's next cell."""
        row = self._rows[-1]
        is_merged = self._skip_to(row, key)
        self._separate(row)
        row.cell = _OpenCell(key, len(self._tokens), is_merged)

    def end_cell(self) -> None:
        """End the open cell."""
        row = self._rows[-1]
        cell, row.cell = row.cell, None
        assert cell is not None
        is_long = cell.characters > _LONG and cell.paragraphs > 2
        row.is_layout |= is_long or (cell.has_heading and cell.has_more)
        if cell.is_merged and cell.characters <= _LABEL:
            self._merged[cell.key] = self._text_since(cell.start)

    def make_layout(self) -> None:
        """Take the open row for a frame around paragraphs."""
        self._rows[-1].is_layout = True

    def end_row(self) -> None:
        """End the row: a line of its cells' text or, where they hold more, paragraphs."""
        row = self._rows[-1]
        self._skip_to(row, None)
        self._rows.pop()
        if row.is_layout or row.columns < 2:
            self._replace(row.separators, Break.PARAGRAPH)
            self._replace(row.repeats, "")
        elif not row.has_text:
            self._replace(row.separators + row.repeats, "")
        else:
            for i in row.breaks:
                is_item = self._tokens[i] == Break.ITEM
                self._tokens[i] = Break.SEMICOLON if is_item else Break.SPACE
            self._replace(row.headings, "")

    def story(self) -> Story:
        """The text of all that came."""
        return render(self._tokens)

    def _put(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MAX_TEXT:
            raise BadFile(f"over {MAX_TEXT // 2**20} million characters")
        self._tokens.append(text)

    def _note_text(self, row: _OpenRow, text: str) -> None:
        row.has_text = True
        row.is_layout |= "\n" in text.strip()
        if row.cell is not None:
            row.cell.characters += len(text)
            row.cell.paragraphs += self._is_broken
            row.cell.has_more |= self._heading is None

    def _skip_to(self, row: _OpenRow, key: Hashable) -> bool:
        """Write what merged cells cover up to a cell's own slot; whether it has one."""
        while row.next_slot < len(row.slots):
            slot = row.slots[row.next_slot]
            row.next_slot += 1
            if slot.cell is None or not slot.is_own:
                self._repeat(row, slot)
            elif slot.cell.key is key:
                return True
        return False

    def _repeat(self, row: _OpenRow, slot: Slot) -> None:
        self._separate(row)
        text = self._merged.get(slot.cell.key, "") if slot.cell is not None else ""
        if text:
            row.repeats.append(len(self._tokens))
            self._put(text)
            self.is_spaced = self._is_broken = False

    def _separate(self, row: _OpenRow) -> None:
        if row.columns:
            row.separators.append(len(self._tokens))
            self._tokens.append(Separator())
            self.is_spaced = self._is_broken = True
            self._tail = ""
        row.columns += 1

    def _replace(self, indexes: Sequence[int], token: Token) -> None:
        for i in indexes:
            self._tokens[i] = token

    def _text_since(self, start: int) -> str:
        """The words of the tokens from one index on."""
        words = (" " if isinstance(token, Break) else token for token in self._tokens[start:])
        return storable(" ".join("".join(w for w in words if isinstance(w, str)).split()))


def _is_apart(before: str, raised: str) -> bool:
    """Whether a superscript is not part of what stands before it, as that of a unit is."""
    if before[-1:].isdecimal():
        return raised[0] in _EXPONENTS
    return raised[0].isdecimal() and len(before) == _TAIL and before.isalpha()
