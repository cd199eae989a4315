"""What stands on a page of a PDF, object by object: its pictures, and text that may be hidden."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ragvis.types import Box

MAX_OBJECTS = 200_000  # looked at on one page
_MAX_DEPTH = 6  # forms within forms
_FINE = 10_000  # device units along each side of a page
_SMALLEST = 1.0  # points; smaller type is read by nobody
_PALE = 224  # of 255, in each colour
# Text that is only a clip, or is not painted at all, as the layer behind a scan that was read.
_UNPAINTED = (pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium_c.FPDF_TEXTRENDERMODE_CLIP)
_FILLED = (pdfium_c.FPDF_TEXTRENDERMODE_FILL, pdfium_c.FPDF_TEXTRENDERMODE_FILL_CLIP)
_IDENTITY = pdfium.PdfMatrix()
_TEXT = pdfium_c.FPDF_PAGEOBJ_TEXT
_IMAGE = pdfium_c.FPDF_PAGEOBJ_IMAGE
_FORM = pdfium_c.FPDF_PAGEOBJ_FORM
_kind_of = pdfium_c.FPDFPageObj_GetType
_mode_of = pdfium_c.FPDFTextObj_GetTextRenderMode
_colour_of = pdfium_c.FPDFPageObj_GetFillColor
_bounds_of = pdfium_c.FPDFPageObj_GetBounds


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """A picture on a page.

    Attributes:
        image: pdfium's own.
        matrix: from the unit square to the page.
        box: left, bottom, right, top on the page, in points.
    """

    image: pdfium.PdfImage
    matrix: pdfium.PdfMatrix
    box: Box


@dataclass(slots=True)
class PageObjects:
    """The pictures of a page, and the texts on it that may not be seen, by their address.

    Attributes:
        images: in the order in which they are painted.
        lost: texts outside of the page, or too small to be read.
        faint: the boxes of texts in white, or nearly: to be seen only on a darker ground.
        unpainted: the boxes of texts that are invisible by their rendering mode or opacity.
    """

    images: list[PlacedImage] = field(default_factory=list)
    faint: dict[int, Box] = field(default_factory=dict)
    unpainted: dict[int, Box] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)


def objects_of(page: pdfium.PdfPage) -> PageObjects:
    """Look at each object of a page once."""
    scan = _Scan(page)
    count, get = pdfium_c.FPDFPage_CountObjects, pdfium_c.FPDFPage_GetObject
    scan.level(page.raw, _IDENTITY, count, get)
    return scan.found


def address(handle: Any) -> int:
    """What tells an object from others, or 0 where there is none."""
    return ctypes.addressof(handle.contents) if handle else 0


def overlap(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def as_seen(page: pdfium.PdfPage, place: Box) -> Box:
    """From points to shares of the page as it is seen, cropped and turned: left, top, width,
    height."""
    left, bottom, right, top = place
    corners = [_seen(page, x, y) for x, y in ((left, bottom), (right, top))]
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
    return x0, y0, x1 - x0, y1 - y0


def _seen(page: pdfium.PdfPage, x: float, y: float) -> tuple[float, float]:
    to_x, to_y = ctypes.c_int(), ctypes.c_int()
    device = (0, 0, _FINE, _FINE, 0)
    pdfium_c.FPDF_PageToDevice(page, *device, x, y, to_x, to_y)
    return tuple(min(1.0, max(0.0, v.value / _FINE)) for v in (to_x, to_y))  # type: ignore[return-value]


def _matrix_of(handle: Any) -> pdfium.PdfMatrix:
    raw = pdfium_c.FS_MATRIX()
    pdfium_c.FPDFPageObj_GetMatrix(handle, raw)
    return pdfium.PdfMatrix.from_raw(raw)


class _Scan:
    """One look at the objects of a page. There are hundreds of texts on one, so pdfium's own
    functions are called, and what they write to is made once."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self.found = PageObjects()
        self._page = page
        self._seen = page.get_bbox()
        self._left = MAX_OBJECTS
        self._colour = [ctypes.c_uint() for _ in range(4)]
        self._bounds = [ctypes.c_float() for _ in range(4)]
        self._size = ctypes.c_float()

    def level(
        self, parent: Any, matrix: pdfium.PdfMatrix, count: Any, get: Any, depth: int = 0
    ) -> None:
        """The objects of a page, or of a form on it with the matrix that leads to the page."""
        number_of = min(count(parent), self._left)
        self._left -= max(0, number_of)
        for number in range(number_of):
            handle = get(parent, number)
            kind = _kind_of(handle)
            if kind == _TEXT:
                self._text(handle, matrix)
            elif kind == _IMAGE:
                self._image(handle, matrix)
            elif kind == _FORM and depth < _MAX_DEPTH:
                inner = _matrix_of(handle).multiply(matrix)
                of_form = (pdfium_c.FPDFFormObj_CountObjects, pdfium_c.FPDFFormObj_GetObject)
                self.level(handle, inner, *of_form, depth + 1)

    def _image(self, handle: Any, matrix: pdfium.PdfMatrix) -> None:
        whole = _matrix_of(handle).multiply(matrix)
        box: Box = whole.on_rect(0, 0, 1, 1)
        if overlap(box, self._seen):
            image = pdfium.PdfImage(handle, page=self._page, pdf=self._page.pdf)
            self.found.images.append(PlacedImage(image, whole, box))

    def _text(self, handle: Any, matrix: pdfium.PdfMatrix) -> None:
        if not _bounds_of(handle, *self._bounds):
            return
        x0, y0, x1, y1 = self._bounds
        box: Box = x0.value, y0.value, x1.value, y1.value
        if matrix is not _IDENTITY:
            box = matrix.on_rect(*box)
        if self._is_lost(handle, matrix, box):
            self.found.lost.add(address(handle))
            return
        mode = _mode_of(handle)
        if mode in _UNPAINTED:
            self.found.unpainted[address(handle)] = box
        elif mode in _FILLED and _colour_of(handle, *self._colour):
            red, green, blue, opacity = self._colour
            if not opacity.value:
                self.found.unpainted[address(handle)] = box
            elif red.value >= _PALE and green.value >= _PALE and blue.value >= _PALE:
                self.found.faint[address(handle)] = box

    def _is_lost(self, handle: Any, matrix: pdfium.PdfMatrix, box: Box) -> bool:
        left, bottom, right, top = self._seen
        if box[0] > right or box[2] < left or box[1] > top or box[3] < bottom:
            return bool(left < right and bottom < top)  # else its boxes are wrong
        # a full stop is low too: only then is the size of its type asked for
        return box[3] - box[1] < _SMALLEST and self._type_size(handle, matrix) < _SMALLEST

    def _type_size(self, handle: Any, matrix: pdfium.PdfMatrix) -> float:
        pdfium_c.FPDFTextObj_GetFontSize(handle, self._size)
        whole = _matrix_of(handle).multiply(matrix)
        return float(abs(self._size.value) * abs(whole.a * whole.d - whole.b * whole.c) ** 0.5)
