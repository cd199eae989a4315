"""A page of a PDF as a person sees it, and where on it a passage or a picture stands."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2 as pdfium

from ragvis.documents.pdf import open_pdf, text_of, words_of
from ragvis.documents.pdf_hyphens import Words, breaks
from ragvis.documents.pdf_objects import as_seen, objects_of
from ragvis.documents.pdf_pictures import render
from ragvis.documents.pdf_text import Characters, Span, places, settled
from ragvis.errors import BadFile
from ragvis.types import Box

if TYPE_CHECKING:
    from ragvis.media.images import Picture


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
    document = open_pdf(path)
    if not 1 <= number <= len(document):
        raise BadFile(f"it has no page {number}")
    try:
        page = document[number - 1]
        found = [*([bbox] if bbox else []), *(_places(path, page, span) if span else [])]
        boxes = tuple(as_seen(page, place) for place in found)
        return PageView(render(document, number - 1), boxes)
    except pdfium.PdfiumError as error:
        raise BadFile(str(error)) from error


def _places(path: Path, page: pdfium.PdfPage, span: Span) -> Iterator[Box]:
    """The boxes of the lines, fields and notes that hold a span of the page's text."""
    textpage = page.get_textpage()
    try:
        raw = text_of(page, textpage, objects_of(page))
        words: Words = _words(path, _stamp(path)) if any(breaks(raw.chars)) else {}
        yield from _lines(textpage, places(raw, words)[slice(*span)])
    finally:
        textpage.close()
    start, end = span
    for first, last, box in settled(raw, words).boxes:
        if first < end and start < last:
            yield box


def _lines(textpage: pdfium.PdfTextPage, found: list[int]) -> Iterator[Box]:
    if not found:
        return
    characters = Characters(textpage)
    first, last = characters.number(found[0]), characters.number(found[-1])
    for i in range(textpage.count_rects(first, last - first + 1)):
        yield textpage.get_rect(i)


def _stamp(path: Path) -> tuple[int, int]:
    about = os.stat(path)
    return about.st_mtime_ns, about.st_size


@functools.lru_cache(maxsize=4)
def _words(path: Path, _stamp: tuple[int, int]) -> Words:
    """Those of a file, read once for all of its passages that are looked at."""
    return words_of(open_pdf(path))
