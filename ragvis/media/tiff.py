"""TIFF pages that Pillow does not read: floats of 16 and 64 bits, several bands of more than 8.

What scientific instruments and maps write. Uncompressed or deflated, in strips or tiles, as the
TIFF 6.0 specification and Adobe's technical note 3 (the floating point predictor) lay them out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from ragvis.errors import BadFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_PAGES = 500
MAX_BYTES = 2**30  # of one page's pixels
_MAX_VALUES = 2**20  # of one tag
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}  # bytes of a value, by its type
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_OFFSETS, _BANDS, _ROWS, _LENGTHS, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_LENGTHS, _FORMAT = 322, 323, 324, 325, 339
NODATA = 42113  # GDAL's: the value that stands for none, in words
_KINDS = {1: "u", 2: "i", 3: "f"}  # NumPy's, by the sample format
_DEFLATED = (8, 32946)
_WHITE_IS_ZERO, _RGB, _CMYK = 0, 2, 5
_SEPARATE = 2  # planes, rather than pixels one after the other
_DIFFERENCES, _FLOATING = 2, 3  # predictors
Tags = dict[int, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Page:
    """How one page lies in its file."""

    order: str  # "<" or ">"
    tags: Tags

    def __str__(self) -> str:
        method = self.one(_COMPRESSION, 1)
        return f"a TIFF of {self.bands} x {self.bits} bits, compressed by method {method}"

    def one(self, tag: int, default: int = 0) -> int:
        """The only or first value of a tag."""
        values = self.tags.get(tag)
        return int(values[0]) if values else default

    @property
    def bands(self) -> int:
        return self.one(_BANDS, 1)

    @property
    def bits(self) -> int:
        return self.one(BITS, 1)

    @property
    def kind(self) -> str:
        """u, i or f, as NumPy has it."""
        return _KINDS.get(self.one(_FORMAT, 1), "")

    @property
    def is_inverted(self) -> bool:
        """Whether 0 is white."""
        return self.one(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO

    @property
    def is_rgb(self) -> bool:
        return self.one(_PHOTOMETRIC, 1) == _RGB

    @property
    def nodata(self) -> float | None:
        return number(*self.tags.get(NODATA, (None,)))

    @property
    def is_unpacked_here(self) -> bool:
        return self.one(_COMPRESSION, 1) in (1, *_DEFLATED)

    @property
    def is_for_pillow(self) -> bool:
        """Whether Pillow reads it right, or may at least try."""
        if self.bits not in (8, 16, 32, 64) or not self.kind or not self.is_unpacked_here:
            return True
        if self.is_inverted and self.bits > 8:
            return False
        if self.bands == 1:
            return (self.kind, self.bits) in {("u", 8), ("u", 16), ("i", 16), ("i", 32), ("f", 32)}
        of_colours = self.one(_PHOTOMETRIC, 1) in (_RGB, _CMYK)
        if self.kind == "u" and self.bits == 16:
            return of_colours and self.one(_PLANAR, 1) != _SEPARATE
        return self.kind == "u" and self.bits == 8 and (of_colours or self.bands <= 3)


def number(text: object) -> float | None:
    """What a tag says in words, or None where it says no number."""
    try:
        return float(str(text))
    except ValueError:
        return None


def pages(file: BinaryIO) -> Iterator[Page]:
    """The pages of a TIFF, up to ``MAX_PAGES``; none of any other file."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return
    (version,) = struct.unpack(order + "H", head[2:4])
    if version not in (42, 43):
        return
    is_big = version == 43
    (at,) = struct.unpack(order + ("Q" if is_big else "I"), head[8:] if is_big else head[4:8])
    seen: set[int] = set()
    while at and at not in seen and len(seen) < MAX_PAGES:
        seen.add(at)
        tags, at = _directory(file, at, order, is_big)
        yield Page(order, tags)


def pixels(file: BinaryIO, page: Page) -> NDArray[Any]:
    """(height, width, bands) numbers, as they are stored.

    Raises:
        BadFile: too large, or stored in a way that is not read.
    """
    import numpy as np

    width, height = page.one(_WIDTH), page.one(_HEIGHT)
    size = width * height * page.bands * page.bits // 8
    if not 0 < size <= MAX_BYTES:
        raise BadFile(f"a page of {width} x {height} pixels in {page.bands} bands")
    if page.one(_PREDICTOR, 1) == _FLOATING and page.kind != "f":
        raise BadFile(f"{page} with a predictor for floats")
    result = np.zeros((height, width, page.bands), np.dtype(f"{page.kind}{page.bits // 8}"))
    for box, bands, data in _blocks(file, page, (width, height)):
        left, top, wide, high = box
        block = _unpredicted(data, page, (high, wide, len(bands)))
        shown = block[: height - top, : width - left]
        place = result[top : top + high, left : left + wide]
        place[..., bands.start : bands.stop] = shown
    return result


def _directory(file: BinaryIO, at: int, order: str, is_big: bool) -> tuple[Tags, int]:
    """The tags of a page, and where the next page is."""
    file.seek(at)
    count_code, entry_code, offset_code = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")
    (count,) = _unpack(file, order + count_code)
    entries = [_unpack(file, order + entry_code) for _ in range(min(count, 4096))]
    (following,) = _unpack(file, order + offset_code)
    tags = {}
    for tag, type_, length, inline in entries:
        size = _SIZES.get(type_, 0) * length
        if not 0 < size <= _MAX_VALUES:
            continue
        if size > len(inline):
            file.seek(struct.unpack(order + offset_code, inline)[0])
            inline = file.read(size)
        tags[tag] = _values(inline[:size], type_, order)
    return tags, following


def _unpack(file: BinaryIO, code: str) -> tuple[Any, ...]:
    data = file.read(struct.calcsize(code))
    if len(data) < struct.calcsize(code):
        raise BadFile("the TIFF is cut off")
    return struct.unpack(code, data)


def _values(data: bytes, type_: int, order: str) -> tuple[Any, ...]:
    if type_ == 2:
        return (data.split(b"\0")[0].decode("latin-1").strip(),)
    code = _CODES[type_]
    return struct.unpack(f"{order}{len(data) // _SIZES[type_]}{code}", data)


def _blocks(
    file: BinaryIO, page: Page, size: tuple[int, int]
) -> Iterator[tuple[tuple[int, int, int, int], range, bytes]]:
    """Strips or tiles: left, top, width and height, the bands in it, and its bytes unpacked."""
    width, height = size
    tiled = _TILE_OFFSETS in page.tags
    wide = page.one(_TILE_WIDTH, width) if tiled else width
    high = page.one(_TILE_HEIGHT, height) if tiled else min(page.one(_ROWS, height), height)
    offsets = page.tags.get(_TILE_OFFSETS if tiled else _OFFSETS, ())
    lengths = page.tags.get(_TILE_LENGTHS if tiled else _LENGTHS, ())
    if not 0 < wide * high * page.bands * page.bits // 8 <= MAX_BYTES:
        raise BadFile(f"blocks of {wide} x {high} pixels")
    places = [(x, y) for y in range(0, height, high) for x in range(0, width, wide)]
    apart = page.one(_PLANAR, 1) == _SEPARATE
    groups = [range(n, n + 1) for n in range(page.bands)] if apart else [range(page.bands)]
    wanted = [(place, bands) for bands in groups for place in places]
    if min(len(offsets), len(lengths)) < len(wanted):
        raise BadFile("the TIFF is cut off")
    for ((left, top), bands), offset, length in zip(wanted, offsets, lengths, strict=False):
        rows = high if tiled else min(high, height - top)
        file.seek(offset)
        expected = wide * rows * len(bands) * page.bits // 8
        yield (left, top, wide, rows), bands, _unpacked(file.read(length), page, expected)


def _unpacked(data: bytes, page: Page, size: int) -> bytes:
    if page.one(_COMPRESSION, 1) in _DEFLATED:
        data = zlib.decompressobj().decompress(data, size)
    if len(data) < size:
        raise BadFile("the TIFF is cut off")
    return data[:size]


def _unpredicted(data: bytes, page: Page, shape: tuple[int, int, int]) -> NDArray[Any]:
    """The numbers of a block, of which a predictor may have stored the differences."""
    import numpy as np

    height, width, bands = shape
    stored = np.dtype(f"{page.order}{page.kind}{page.bits // 8}")
    predictor = page.one(_PREDICTOR, 1)
    if predictor == _FLOATING:
        size = stored.itemsize
        steps = np.frombuffer(data, np.uint8).reshape(height, width * size, bands)
        planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(height, size, width * bands)
        whole = np.ascontiguousarray(planes.transpose(0, 2, 1))  # the highest byte comes first
        return whole.view(stored.newbyteorder(">")).reshape(shape)
    block = np.frombuffer(data, stored).reshape(shape)
    if predictor == _DIFFERENCES:
        whole_number: np.dtype[Any] = np.dtype(f"u{stored.itemsize}")
        steps = block.astype(stored.newbyteorder("=")).view(whole_number)
        return np.cumsum(steps, axis=1, dtype=whole_number).view(stored.newbyteorder("="))
    return block
