"""A page of a PDF as a person sees it, and where on it a passage or a picture stands."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ragvis.documents import pdf as pdfs
from ragvis.errors import BadFile
from ragvis.types import Box

if TYPE_CHECKING:
    from ragvis.media.images import Picture

_FINE = 10_000  # device units along each side of a page
# What `pdf.read` makes of pdfium's text: line ends, and hyphens at them.
_CHANGED = re.compile("\r\n|\ufffe(?:\r\n|\n)?")


@dataclass(frozen=True, slots=True)
class PageView:
    """A rendered page; ``boxes`` are left, top, width, height as shares of it."""

    picture: Picture
    boxes: tuple[Box, ...]


def view(path: Path, number: int, span: tuple[int, int] | None, bbox: Box | None) -> PageView:
    """Render a page, and find a place on it.

    Args:
        path: a PDF.
        number: of the page, from 1.
        span: character offsets in its text as ``documents.read`` gives it.
        bbox: left, bottom, right, top of a picture, in points.

    Raises:
        BadFile: it cannot be read, or has no such page.
    """
    document = pdfs.open_pdf(path)
    if not 1 <= number <= len(document):
        raise BadFile(f"it has no page {number}")
    try:
        page = document[number - 1]
        places = [*([bbox] if bbox else []), *(_lines(page, span) if span else [])]
        boxes = tuple(_on_page(page, place) for place in places)
        return PageView(pdfs.render(document, number - 1), boxes)
    except pdfium.PdfiumError as error:
        raise BadFile(str(error)) from error


def _lines(page: pdfium.PdfPage, span: tuple[int, int]) -> Iterator[Box]:
    """The boxes of the lines that hold a span of the page's text."""
    textpage = page.get_textpage()
    try:
        places = _places(textpage.get_text_range())[span[0] : span[1]]
        if not places:
            return
        first, last = (_char_index(textpage, place) for place in (places[0], places[-1]))
        for i in range(textpage.count_rects(first, last - first + 1)):
            yield textpage.get_rect(i)
    finally:
        textpage.close()


def _places(raw: str) -> list[int]:
    """For each character of the text as read, where it stood in the raw text."""
    places: list[int] = []
    at = 0
    for match in _CHANGED.finditer(raw):
        places += range(at, match.start())
        at = match.end()
        if match[0] == "\r\n":
            places.append(at - 1)
    return [*places, *range(at, len(raw))]


def _char_index(textpage: pdfium.PdfTextPage, place: int) -> int:
    """pdfium counts characters that it does not give out as text."""
    return max(0, int(pdfium_c.FPDFText_GetCharIndexFromTextIndex(textpage, place)))


def _on_page(page: pdfium.PdfPage, place: Box) -> Box:
    """From points to shares of the page as it is seen, cropped and turned."""
    left, bottom, right, top = place
    corners = [_seen(page, x, y) for x, y in ((left, bottom), (right, top))]
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
    return x0, y0, x1 - x0, y1 - y0


def _seen(page: pdfium.PdfPage, x: float, y: float) -> tuple[float, float]:
    to_x, to_y = ctypes.c_int(), ctypes.c_int()
    device = (0, 0, _FINE, _FINE, 0)
    pdfium_c.FPDF_PageToDevice(page, *device, x, y, to_x, to_y)
    return tuple(min(1.0, max(0.0, v.value / _FINE)) for v in (to_x, to_y))  # type: ignore[return-value]
