"""PDF by pypdfium2: text by page, embedded pictures with their box, scans as page renderings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ragvis.documents.model import (
    MAX_TEXT,
    NEAR,
    Document,
    Figure,
    Page,
    storable,
    title_from_name,
)
from ragvis.documents.pdf_garbled import MUCH, readable
from ragvis.documents.pdf_hidden import hidden
from ragvis.documents.pdf_hyphens import Words, known_words
from ragvis.documents.pdf_notes import lines_of
from ragvis.documents.pdf_objects import PageObjects, objects_of
from ragvis.documents.pdf_pictures import Pictures, covers
from ragvis.documents.pdf_text import Characters, RawText, kept, merged, settled
from ragvis.errors import BadFile

MAX_PAGES = 20_000
_FEW = 200  # characters on a page that is a scan for all that: a stamp, a header
_XFA = "a form in XFA, of which only the pages themselves are read"
logging.getLogger("pypdfium2").setLevel(logging.ERROR)  # it warns of XFA, which is reported


def read(path: Path) -> Document:
    """Every page's text; figures are decoded only when opened.

    Raises:
        BadFile: encrypted, broken, or over the limits.
    """
    pdf = open_pdf(path)
    if len(pdf) > MAX_PAGES:
        raise BadFile(f"over {MAX_PAGES} pages")
    reading = _Reading(pdf)
    for i in range(len(pdf)):
        reading.take(i)
    pages, figures = reading.settled()
    is_xfa = pdf.get_formtype() == pdfium_c.FORMTYPE_XFA_FULL
    return Document(_title(pdf, path), pages, figures, unread={"form": _XFA} if is_xfa else {})


def open_pdf(path: Path) -> pdfium.PdfDocument:
    """Open a file, with its form if it has one.

    Raises:
        BadFile: encrypted or broken.
    """
    try:
        pdf = pdfium.PdfDocument(path)
        pdf.init_forms()  # before any page is opened
        len(pdf)
    except pdfium.PdfiumError as error:
        reason = str(error)
        if "password" in reason.lower():
            raise BadFile("the PDF needs a password") from error
        raise BadFile(f"broken PDF: {reason}") from error
    return pdf


def text_of(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage, objects: PageObjects) -> RawText:
    """A page's text before its words are put together; of a PDF that ``open_pdf`` has opened."""
    characters = Characters(textpage)
    unseen = hidden(page, characters, objects)
    chars, meaningless, garbled = readable(characters)
    return RawText(chars, merged([*unseen, *meaningless]), lines_of(page, textpage), garbled)


def words_of(pdf: pdfium.PdfDocument) -> Words:
    """The words of a document that decide how its broken ones are put together."""
    texts = []
    for i in range(len(pdf)):
        with suppress(pdfium.PdfiumError):  # as in ``read``, a page that cannot be read has none
            page = pdf[i]
            textpage = page.get_textpage()
            texts.append(readable(Characters(textpage))[0])
            textpage.close()
            page.close()
    return known_words(texts)


class _Reading:
    """A document as it is read, page by page: its words are put together when all are known."""

    def __init__(self, pdf: pdfium.PdfDocument) -> None:
        self._pdf = pdf
        self._pictures = Pictures(pdf)
        self._texts: list[tuple[int, RawText]] = []
        self._figures: list[Figure] = []
        self._length = 0

    def take(self, i: int) -> None:
        """Read a page; one that cannot be read does not cost the others.

        Raises:
            BadFile: over the limit.
        """
        try:
            page = self._pdf[i]
            textpage = page.get_textpage()
            objects = objects_of(page)
            raw = text_of(page, textpage, objects)
        except pdfium.PdfiumError as error:
            self._figures.append(self._pictures.broken(i, str(error)))
            return
        self._texts.append((i + 1, raw))
        self._figures += self._figures_of(i, textpage, objects, raw)
        textpage.close()
        page.close()
        self._length += len(raw.chars) + sum(len(line.text) for line in raw.lines)
        if self._length > MAX_TEXT:
            raise BadFile(f"over {MAX_TEXT // 2**20} million characters")

    def settled(self) -> tuple[tuple[Page, ...], tuple[Figure, ...]]:
        """All pages and figures."""
        words = known_words(raw.chars for _, raw in self._texts)
        pages = [Page(number, settled(raw, words).text) for number, raw in self._texts]
        figures = [replace(f, near=_near(f.near, words)) if f.near else f for f in self._figures]
        return tuple(pages), tuple(figures)

    def _figures_of(
        self, i: int, textpage: pdfium.PdfTextPage, objects: PageObjects, raw: RawText
    ) -> Iterator[Figure]:
        """The pictures on a page, or the page where its text does not tell of it: a page without
        text, or with one that has no meaning, and a scan that bears a stamp or a header."""
        text = kept(raw)
        if not text.strip():
            yield self._pictures.page(i)
            return
        is_scan = len("".join(text.split())) < _FEW and covers(textpage.page, objects.images)
        if is_scan or raw.garbled >= MUCH:
            yield self._pictures.page(i, text)
        known = set(text.split()) if objects.images else set()
        for figure in self._pictures.embedded(i, textpage, objects, is_scan):
            yield replace(figure, near=_only(figure.near, known))


def _only(text: str, known: Set[str]) -> str:
    """Without the words that are dropped from the page, and those that are cut through."""
    return " ".join(word for word in text.split() if word in known)


def _near(raw: str, words: Words) -> str:
    return " ".join(settled(RawText(raw), words).text.split())[: 2 * NEAR]


def _title(pdf: pdfium.PdfDocument, path: Path) -> str:
    own = storable(pdf.get_metadata_value("Title") or "").strip()
    if own.lower().startswith("microsoft word - ") or own.lower() in ("", "untitled"):
        return title_from_name(path)
    return " ".join(own.split())
