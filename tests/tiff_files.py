"""TIFFs of numbers of any kind, as instruments and maps write them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

KINDS = {"u": 1, "i": 2, "f": 3}
DIFFERENCES, FLOATING = 2, 3


def tiff(
    values: Any,
    *,
    order: str = "<",
    planes: bool = False,
    rgb: bool = False,
    nodata: str | None = None,
    packed: bool = False,
    predictor: int = 1,
    tile: int = 0,
    white_is_zero: bool = False,
) -> bytes:
    """(h, w) or (h, w, bands) numbers as a TIFF of one page."""
    values = np.asarray(values)
    values = values if values.ndim == 3 else values[..., None]
    height, width, bands = values.shape
    groups = np.split(values, bands, axis=-1) if planes else [values]
    blocks = [
        _stored(block, order, predictor) for one in groups for block in _cut(one, tile or height)
    ]
    data = [zlib.compress(block) if packed else block for block in blocks]
    where = (324, 325) if tile else (273, 279)
    tags: dict[int, tuple[str, Any]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [values.dtype.itemsize * 8] * bands),
        259: ("H", [8 if packed else 1]),
        262: ("H", [2 if rgb else 0 if white_is_zero else 1]),
        277: ("H", [bands]),
        284: ("H", [2 if planes else 1]),
        317: ("H", [predictor]),
        339: ("H", [KINDS[values.dtype.kind]] * bands),
        where[0]: ("I", [0] * len(data)),
        where[1]: ("I", [len(block) for block in data]),
    }
    tags |= {322: ("I", [tile]), 323: ("I", [tile])} if tile else {278: ("I", [height])}
    extra = bands - (3 if rgb else 1)
    if extra:
        tags[338] = ("H", [0] * extra)
    if nodata is not None:
        tags[42113] = ("s", nodata.encode() + b"\0")
    head = _directory(tags, order, 0)
    starts = [len(head) + sum(map(len, data[:n])) for n in range(len(data))]
    tags[where[0]] = ("I", starts)
    return _directory(tags, order, 0) + b"".join(data)


def _cut(values: Any, side: int) -> Iterator[Any]:
    """Tiles, filled up with zeros; or the whole, where they are as high as it."""
    height, width, bands = values.shape
    if side == height:
        yield values
        return
    for top in range(0, height, side):
        for left in range(0, width, side):
            block = np.zeros((side, side, bands), values.dtype)
            part = values[top : top + side, left : left + side]
            block[: part.shape[0], : part.shape[1]] = part
            yield block


def _stored(block: Any, order: str, predictor: int) -> bytes:
    height, width, bands = block.shape
    size = block.dtype.itemsize
    if predictor == DIFFERENCES:
        whole = block.view(f"u{size}")
        block = np.diff(whole, axis=1, prepend=np.zeros_like(whole[:, :1]))
    if predictor == FLOATING:
        raw = block.astype(block.dtype.newbyteorder(">")).view(np.uint8)
        rows = raw.reshape(height, width * bands, size).transpose(0, 2, 1)
        rows = rows.reshape(height, size * width, bands)
        return np.diff(rows, axis=1, prepend=np.zeros_like(rows[:, :1])).tobytes()
    return bytes(block.astype(block.dtype.newbyteorder(order)).tobytes())


def _directory(tags: dict[int, tuple[str, Any]], order: str, following: int) -> bytes:
    """The head of the file with its tags, and their values behind."""
    place = 8 + 2 + 12 * len(tags) + 4
    entries, behind = b"", b""
    for tag, (code, values) in sorted(tags.items()):
        raw = values if code == "s" else struct.pack(f"{order}{len(values)}{code}", *values)
        kind = {"H": 3, "I": 4, "s": 2}[code]
        inline = raw.ljust(4, b"\0")
        if len(raw) > 4:
            inline = struct.pack(order + "I", place + len(behind))
            behind += raw + b"\0" * (len(raw) % 2)
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + inline
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    count = struct.pack(order + "H", len(tags))
    return head + count + entries + struct.pack(order + "I", following) + behind
