"""PDF by pypdfium2: text by page, embedded pictures with their box, scans as page renderings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from itertools import count
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
from ragvis.errors import BadFile
from ragvis.media import images
from ragvis.media.fit import Fit
from ragvis.types import Box

MAX_PAGES = 20_000
MAX_FIGURES = 64  # embedded pictures taken from one page
MIN_SIDE = 48  # pixels; smaller ones are bullets, rules and logos
MAX_PIXELS = 100_000_000  # of one embedded picture
_BELOW = 60  # points below and above a picture in which text is about it
RENDER_SIDE = 1600  # pixels of the longer side of a rendered page


def read(path: Path) -> Document:
    """Every page's text; figures are decoded only when opened.

    Raises:
        BadFile: encrypted, broken, or over the limits.
    """
    pdf = open_pdf(path)
    if len(pdf) > MAX_PAGES:
        raise BadFile(f"over {MAX_PAGES} pages")
    pages: list[Page] = []
    figures: list[Figure] = []
    ordinals = count()
    seen: set[str] = set()
    length = 0
    for i in range(len(pdf)):
        try:
            page = pdf[i]
            text = _text_of(page)
        except pdfium.PdfiumError as error:
            # one page that cannot be read does not cost the others
            figures.append(Figure(next(ordinals), partial(_refuse, str(error)), page=i + 1))
            continue
        pages.append(Page(i + 1, text))
        if text.strip():
            figures.extend(_embedded(pdf, page, i, ordinals, seen))
        else:
            figures.append(Figure(next(ordinals), partial(render, pdf, i), page=i + 1))
        page.close()
        length += len(text)
        if length > MAX_TEXT:
            raise BadFile(f"over {MAX_TEXT // 2**20} million characters")
    return Document(_title(pdf, path), tuple(pages), tuple(figures))


def open_pdf(path: Path) -> pdfium.PdfDocument:
    try:
        pdf = pdfium.PdfDocument(path)
        len(pdf)
    except pdfium.PdfiumError as error:
        reason = str(error)
        if "password" in reason.lower():
            raise BadFile("the PDF needs a password") from error
        raise BadFile(f"broken PDF: {reason}") from error
    return pdf


def _title(pdf: pdfium.PdfDocument, path: Path) -> str:
    own = storable(pdf.get_metadata_value("Title") or "").strip()
    if own.lower().startswith("microsoft word - ") or own.lower() in ("", "untitled"):
        return title_from_name(path)
    return " ".join(own.split())


def _text_of(page: pdfium.PdfPage) -> str:
    textpage = page.get_textpage()
    try:
        text = textpage.get_text_range()
    finally:
        textpage.close()
    # U+FFFE is pdfium's mark for a hyphen at a line's end
    return storable(text.replace("\r\n", "\n").replace("\ufffe\n", "").replace("\ufffe", ""))


def _embedded(
    pdf: pdfium.PdfDocument, page: pdfium.PdfPage, i: int, ordinals: Iterator[int], seen: set[str]
) -> Iterator[Figure]:
    """The page's pictures, each distinct one once a document: headers repeat their logo."""
    for k, image in enumerate(_images(page)):
        try:
            width, height = image.get_px_size()
            if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
                continue
            key = hashlib.sha256(bytes(image.get_data())).hexdigest()
            left, bottom, right, top = (round(float(v), 2) for v in image.get_bounds())
        except pdfium.PdfiumError as error:
            yield Figure(next(ordinals), partial(_refuse, str(error)), page=i + 1)
            continue
        if key not in seen:
            seen.add(key)
            box: Box = (left, bottom, right, top)
            opener = partial(_extract, pdf, i, k)
            yield Figure(next(ordinals), opener, page=i + 1, bbox=box, near=_near(page, box))


def _near(page: pdfium.PdfPage, box: Box) -> str:
    """The lines above, below and beside a picture: captions stand there."""
    _, bottom, _, top = box
    place = (0.0, bottom - _BELOW, page.get_width(), top + _BELOW)
    textpage = page.get_textpage()
    try:
        text = textpage.get_text_bounded(*place)
    finally:
        textpage.close()
    return " ".join(storable(text).split())[: 2 * NEAR]


def _images(page: pdfium.PdfPage) -> list[pdfium.PdfImage]:
    found = page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=4)
    return [image for image, _ in zip(found, range(MAX_FIGURES), strict=False)]


def _extract(pdf: pdfium.PdfDocument, i: int, k: int, **_: object) -> images.Picture:
    return images.rendered(lambda: _images(pdf[i])[k].get_bitmap(render=False).to_pil())


def render(pdf: pdfium.PdfDocument, i: int, *, fit: Fit | None = None) -> images.Picture:
    def draw() -> images.Picture:
        page = pdf[i]
        long = max(*page.get_size(), 1.0)
        side = RENDER_SIDE if fit is None else min(RENDER_SIDE, 2 * max(fit.scaled(*_size(page))))
        picture: images.Picture = page.render(scale=min(side / long, 4.0)).to_pil()
        return picture

    return images.rendered(draw)


def _size(page: pdfium.PdfPage) -> tuple[int, int]:
    width, height = page.get_size()
    return max(1, round(width)), max(1, round(height))


def _refuse(reason: str, **_: object) -> images.Picture:
    raise BadFile(f"broken PDF page or picture: {reason}")
