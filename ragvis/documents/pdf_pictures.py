"""The pictures of a PDF: those on its pages, and whole pages as they are seen."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import count

import pypdfium2 as pdfium

from ragvis.documents.model import Figure
from ragvis.documents.pdf_objects import PageObjects, PlacedImage, objects_of, overlap
from ragvis.errors import BadFile
from ragvis.media import images
from ragvis.media.fit import Fit
from ragvis.types import Box

MAX_FIGURES = 64  # embedded pictures taken from one page
MAX_IMAGES = 2000  # looked at for them
MIN_SIDE = 48  # pixels; smaller ones are bullets, rules and logos
MAX_PIXELS = 100_000_000  # of one embedded picture
RENDER_SIDE = 1600  # pixels of the longer side of a rendered page
_BELOW = 60  # points below and above a picture in which text is about it
_MOST = 0.8  # of a page that is covered by its scan
_SAMPLE = 4096  # bytes of a picture, by which it is known to be nearly of one colour
_FLAT = 256  # bytes of these once compressed
_TINY = 48  # pixels of the side of a picture that tells it from others


class Pictures:
    """Makes the figures of a document, page by page."""

    def __init__(self, pdf: pdfium.PdfDocument) -> None:
        self._pdf = pdf
        self._ordinals = count()
        self._seen: set[bytes] = set()

    def page(self, i: int, near: str = "") -> Figure:
        """A whole page."""
        opener = partial(render, self._pdf, i)
        return Figure(next(self._ordinals), opener, page=i + 1, near=near)

    def broken(self, i: int, reason: str) -> Figure:
        """What cannot be read on a page."""
        return Figure(next(self._ordinals), partial(_refuse, reason), page=i + 1)

    def embedded(
        self, i: int, textpage: pdfium.PdfTextPage, objects: PageObjects, is_scan: bool
    ) -> Iterator[Figure]:
        """The pictures on a page, each distinct one once a document: headers repeat their logo.

        Args:
            is_scan: whether the page is one, and a figure by itself: then its pieces are none.
        """
        taken = 0
        for k, placed in enumerate(objects.images[:MAX_IMAGES]):
            if taken == MAX_FIGURES:
                return
            try:
                if not _is_worth_it(placed) or (is_scan and _spans(textpage.page, placed)):
                    continue
                key = _key(placed)
                if key not in self._seen:
                    self._seen.add(key)
                    taken += 1
                    yield self._figure(i, k, textpage, placed)
            except pdfium.PdfiumError as error:
                yield self.broken(i, str(error))

    def _figure(self, i: int, k: int, textpage: pdfium.PdfTextPage, placed: PlacedImage) -> Figure:
        left, bottom, right, top = (round(float(v), 2) for v in placed.box)
        box: Box = (left, bottom, right, top)
        opener = partial(_extract, self._pdf, i, k)
        return Figure(next(self._ordinals), opener, page=i + 1, bbox=box, near=_near(textpage, box))


def covers(page: pdfium.PdfPage, placed: list[PlacedImage]) -> bool:
    """Whether pictures take up a page, as a scan does, in one piece or in stripes."""
    whole = page.get_bbox()
    covered = sum(overlap(one.box, whole) for one in placed)
    return covered >= _MOST * overlap(whole, whole) > 0


def _spans(page: pdfium.PdfPage, placed: PlacedImage) -> bool:
    """Whether a picture is a scan's, or a stripe of it: as wide or as high as the page."""
    left, bottom, right, top = page.get_bbox()
    x0, y0, x1, y1 = placed.box
    wide, high = min(x1, right) - max(x0, left), min(y1, top) - max(y0, bottom)
    return bool(wide >= _MOST * (right - left) or high >= _MOST * (top - bottom))


def render(pdf: pdfium.PdfDocument, i: int, *, fit: Fit | None = None) -> images.Picture:
    """A page as it is seen, with its fields as they are filled in."""

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


def _is_worth_it(placed: PlacedImage) -> bool:
    width, height = _pixels(placed)
    return min(width, height) >= MIN_SIDE and width * height <= MAX_PIXELS


def _pixels(placed: PlacedImage) -> tuple[int, int]:
    width, height = placed.image.get_px_size()
    return int(width), int(height)


def _key(placed: PlacedImage) -> bytes:
    """What is the same for the same picture: its data. Where they are nearly all of one colour,
    its shape is in its mask, which pdfium does not give out: then also what it looks like."""
    data = bytes(placed.image.get_data())
    found = hashlib.sha256(data)
    if len(zlib.compress(data[:_SAMPLE], 1)) <= _FLAT:
        found.update(images.pixel_key(_drawn(placed, (_TINY, _TINY))))
    return found.digest()


def _near(textpage: pdfium.PdfTextPage, box: Box) -> str:
    """The lines above, below and beside a picture, as pdfium gives them: captions stand there."""
    page = textpage.page
    left, bottom, right, top = page.get_bbox()
    if page.get_rotation() in (90, 270):
        place = (box[0] - _BELOW, bottom, box[2] + _BELOW, top)
    else:
        place = (left, box[1] - _BELOW, right, box[3] + _BELOW)
    text: str = textpage.get_text_bounded(*place)
    return text.replace("\x02", "\ufffe")  # as a hyphen is marked in a page's text


def _extract(pdf: pdfium.PdfDocument, i: int, k: int, **_: object) -> images.Picture:
    page = pdf[i]
    placed = objects_of(page).images[k]
    size = _pixels(placed)
    return images.rendered(lambda: _drawn(placed, size, page.get_rotation()))


def _drawn(placed: PlacedImage, size: tuple[int, int], rotation: int = 0) -> images.Picture:
    """A picture pixel by pixel, with its mask, colours and decoding; turned and mirrored as the
    page has it, to the nearest right angle, but neither stretched nor scaled."""
    image = placed.image
    before = image.get_matrix()
    image.set_matrix(_upright(placed.matrix.rotate(rotation), size))
    try:
        picture: images.Picture = image.get_bitmap(render=True, scale_to_original=False).to_pil()
    finally:
        image.set_matrix(before)
    return picture


def _upright(matrix: pdfium.PdfMatrix, size: tuple[int, int]) -> pdfium.PdfMatrix:
    """Which of the four directions each side of a picture has, with its length in pixels."""
    width, height = size
    if abs(matrix.a) + abs(matrix.d) >= abs(matrix.b) + abs(matrix.c):
        a, d = _along(matrix.a, width), _along(matrix.d, height)
        return pdfium.PdfMatrix(a, 0, 0, d, max(0, -a), max(0, -d))
    b, c = _along(matrix.b, width), _along(matrix.c, height)
    return pdfium.PdfMatrix(0, b, c, 0, max(0, -c), max(0, -b))


def _along(direction: float, length: int) -> int:
    return -length if direction < 0 else length


def _refuse(reason: str, **_: object) -> images.Picture:
    raise BadFile(f"broken PDF page or picture: {reason}")
