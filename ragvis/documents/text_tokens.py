"""Tokens that a document's text is made of, and the text that they make.

Breaks are written only when something follows them, so the text has no blank lines at its ends,
and a picture between two sections belongs to the one above it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from ragvis.documents.model import Heading, storable


class Break(IntEnum):
    """What stands between two pieces of text; of several in a row the strongest holds."""

    SPACE = 0
    SEMICOLON = 1
    LINE = 2
    ITEM = 3  # a line; within a row of a table, a semicolon
    FEED = 4  # a line that the author asked for; two of them end a paragraph
    PARAGRAPH = 5


@dataclass(frozen=True, slots=True)
class Separator:
    """Between two cells of a row."""


@dataclass(frozen=True, slots=True)
class HeadingStart:
    """A heading's text follows."""

    title: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place to remember, such as a picture's."""

    key: Hashable


Token = str | Break | Separator | HeadingStart | Place


@dataclass(frozen=True, slots=True)
class Story:
    """A text, with the offsets of its headings and of the places that were marked in it."""

    text: str
    headings: tuple[Heading, ...]
    places: dict[Hashable, int]


def render(tokens: Iterable[Token]) -> Story:
    """The text of the tokens, in one pass."""
    renderer = _Renderer()
    for token in tokens:
        renderer.add(token)
    return Story(storable("".join(renderer.pieces)), tuple(renderer.headings), renderer.places)


class _Renderer:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.headings: list[Heading] = []
        self.places: dict[Hashable, int] = {}
        self._length = 0
        self._break: Break | None = None
        self._spaces: list[str] = []  # white space that is left out at the end of a line
        self._is_fresh = True  # nothing stands before in the line or cell
        self._waiting: list[HeadingStart | Place] = []  # for the text of a heading

    def add(self, token: Token) -> None:
        if isinstance(token, str):
            self._write(token)
        elif isinstance(token, Break):
            self._break = _stronger(self._break, token)
        elif isinstance(token, Separator):
            self._separate()
        elif isinstance(token, HeadingStart) or self._waiting:
            self._waiting.append(token)
        else:
            self.places[token.key] = self._length

    def _write(self, text: str) -> None:
        body = text.rstrip()
        if body:
            is_first = bool(self._waiting)  # of a heading, which starts at its first letter
            self._write_break()
            before = "".join(self._spaces)
            self._put(body.lstrip() if is_first else before + body)
            self._spaces.clear()
            self._is_fresh = False
        self._spaces.append(text[len(body) :])

    def _write_break(self) -> None:
        """Write the break that is due, then the heading that waits for its text."""
        if self._break is not None and self._break <= Break.SEMICOLON:
            self._write_joint(self._break)
        elif self._break is not None:
            self._write_lines(self._break)
        self._break = None
        for token in self._waiting:
            if isinstance(token, HeadingStart):
                self.headings.append(Heading(self._length, token.title))
            else:
                self.places[token.key] = self._length
        self._waiting.clear()

    def _write_joint(self, kind: Break) -> None:
        self._spaces.clear()
        if not self._is_fresh:
            ended = self.pieces[-1].endswith((",", ";", ":", ".", "!", "?"))
            self._put("; " if kind == Break.SEMICOLON and not ended else " ")

    def _write_lines(self, kind: Break) -> None:
        self._spaces.clear()
        self._is_fresh = True
        if self.pieces:
            self._put("\n\n" if kind == Break.PARAGRAPH else "\n")

    def _separate(self) -> None:
        if self._break is not None and self._break > Break.SEMICOLON:
            self._write_lines(self._break)
        self._break = None
        self._spaces.clear()
        self._is_fresh = True
        self._put(" | ")

    def _put(self, text: str) -> None:
        self.pieces.append(text)
        self._length += len(text)


def _stronger(one: Break | None, other: Break) -> Break:
    if one == other == Break.FEED:
        return Break.PARAGRAPH
    return other if one is None else max(one, other)
