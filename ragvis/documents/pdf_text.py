"""The text of a PDF's page: as pdfium gives it, and as it is read."""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ragvis.documents.model import storable
from ragvis.documents.pdf_hyphens import Words, between, breaks
from ragvis.types import Box

Span = tuple[int, int]
_TWO_UNITS = re.compile("\r\n|[\U00010000-\U0010ffff]")
_BETWEEN_BLOCKS = "\n\n"


@dataclass(frozen=True, slots=True)
class Line:
    """What is written on a page without being its text: a field's value, or a note."""

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class RawText:
    """A page's text before its words are put together.

    Attributes:
        chars: of pdfium, one for each that it gives out.
        dropped: stretches that are not read, in order: hidden, or without meaning.
        lines: what is written on the page besides.
        garbled: the share of the characters that have no meaning.
    """

    chars: str
    dropped: tuple[Span, ...] = ()
    lines: tuple[Line, ...] = ()
    garbled: float = 0.0


@dataclass(frozen=True, slots=True)
class PageText:
    """A page's text as it is read.

    Attributes:
        text: with its lines, below that of pdfium.
        boxes: start, end and place on the page of each line.
    """

    text: str
    boxes: tuple[tuple[int, int, Box], ...] = ()


def settled(raw: RawText, words: Words) -> PageText:
    """Put the words together that are broken at the ends of lines."""
    text = storable("".join(text for text, _ in _pieces(raw, words)))
    if not raw.lines:
        return PageText(text)
    text = text + _BETWEEN_BLOCKS if text.strip() else ""
    boxes = []
    for line in raw.lines:
        start = len(text)
        text += storable(line.text) + "\n"
        boxes.append((start, len(text) - 1, line.box))
    return PageText(text[:-1], tuple(boxes))


def places(raw: RawText, words: Words) -> list[int]:
    """Where each character of the text as read, up to its lines, stands in ``raw.chars``."""
    return [place for _, places in _pieces(raw, words) for place in places]


def kept(raw: RawText) -> str:
    """pdfium's text without what is dropped."""
    parts, at = [], 0
    for start, end in raw.dropped:
        parts.append(raw.chars[at:start])
        at = end
    return "".join([*parts, raw.chars[at:]])


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same stretches in order, those that touch as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def _pieces(raw: RawText, words: Words) -> Iterator[tuple[str, Sequence[int]]]:
    """The pieces of the text as read, each with the places of its characters."""
    at = 0
    for start, end, instead in _changes(raw, words):
        yield raw.chars[at:start], range(at, start)
        yield instead, [start] * len(instead)
        at = end
    yield raw.chars[at:], range(at, len(raw.chars))


def _changes(raw: RawText, words: Words) -> Iterator[tuple[int, int, str]]:
    """Start and end of what does not stay, and what stands there instead; in order."""
    chars = raw.chars
    changes = [(start, end, "") for start, end in raw.dropped]
    changes += [(start, end, between(chars, start, end, words)) for start, end in breaks(chars)]
    at = 0
    # of two that begin together what is dropped goes first: nothing stands there instead
    for start, end, instead in sorted(changes, key=itemgetter(0)):
        if start >= at:
            yield start, end, instead
        elif end > at:  # it began within what is gone
            yield at, end, ""
        at = max(at, end)


class Characters:
    """The characters of a text page: their places in its text, as Python counts them, and their
    numbers in pdfium's list, which is UTF-16 and holds some that are not given out as text.

    Attributes:
        text: as pdfium gives it, with line feeds alone.
    """

    def __init__(self, textpage: pdfium.PdfTextPage) -> None:
        self.textpage = textpage
        self._raw: str = textpage.get_text_range(errors="surrogatepass")
        self.text = self._raw.replace("\r\n", "\n")

    def number(self, place: int) -> int:
        """Of the character at a place of the text."""
        unit = place + bisect_right(self._shifts[0], place)
        return max(0, int(pdfium_c.FPDFText_GetCharIndexFromTextIndex(self.textpage.raw, unit)))

    def place(self, number: int) -> int | None:
        """In the text, or None where it is not given out."""
        unit = int(pdfium_c.FPDFText_GetTextIndexFromCharIndex(self.textpage.raw, number))
        return None if unit < 0 else unit - bisect_right(self._shifts[1], unit)

    @functools.cached_property
    def _shifts(self) -> tuple[list[int], list[int]]:
        """The places, and the units of UTF-16, from which on these are one further apart."""
        places, units, line_ends = [], [], 0
        for apart, match in enumerate(_TWO_UNITS.finditer(self._raw)):
            place = match.start() - line_ends
            is_line_end = match[0] == "\r\n"
            line_ends += is_line_end
            places.append(place if is_line_end else place + 1)
            units.append(place + apart + 1)
        return places, units
