"""A segment: files of the vectors of a range of items, derived from the catalog.

``NAME.rows``   exact vectors, item ids, and a CRC-32 of each vector
``NAME.faiss``  of large segments: an inverted file with 8-bit codes, for a shortlist

Segments are written once and never changed. What is deleted later stands in the catalog's list of
the dead; what is added later, in another segment. The catalog keeps the checksums of the parts
that are read whole; what is read here and there is checked as it is read.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis._files import replace
from ragvis.errors import IndexDamaged
from ragvis.types import Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Stored = NDArray[np.float16]
    Ids = NDArray[np.int64]

ROWS, FAISS, DAMAGED = ".rows", ".faiss", ".damaged"
_ROW, _ID, _SUM = np.dtype("<f2"), np.dtype("<i8"), np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment as the catalog knows it."""

    name: str  # of its files, without suffix
    modality: Modality
    first: int  # ids of the items it covers, the deleted ones included
    last: int
    count: int
    sums: str  # JSON

    def facts(self, suffix: str) -> dict[str, Any]:
        """What was noted of one of its files; {} where it has no such file."""
        noted: dict[str, dict[str, Any]] = json.loads(self.sums)
        return noted.get(suffix, {})


def write_rows(file: Path, pieces: Iterable[tuple[Ids, Stored]]) -> dict[str, Any]:
    """Write ``NAME.rows``; what to note of it.

    Raises:
        OSError: the disk refuses.
    """
    ids, sums, digest = [], [], hashlib.sha256()
    part = file.with_name(file.name + ".part")
    with part.open("wb") as stream:
        for numbers, rows in pieces:
            data = rows.astype(_ROW).tobytes()
            stream.write(data)
            digest.update(data)
            width = len(data) // len(rows)
            sums += [zlib.crc32(data[i : i + width]) for i in range(0, len(data), width)]
            ids.append(numbers)
        tail = np.concatenate(ids).astype(_ID).tobytes() + np.array(sums, _SUM).tobytes()
        stream.write(tail)
    replace(part, file)
    return {"rows": digest.hexdigest(), "tail": hashlib.sha256(tail).hexdigest()}


class Rows:
    """The exact vectors of a segment, read where they lie."""

    def __init__(self, file: Path, row: SegmentRow, dim: int) -> None:
        """Raises:
        IndexDamaged: the file is not the one that was written, as far as its tail tells.
        """
        self._file = file
        self._facts = row.facts(ROWS)
        width, n = dim * _ROW.itemsize, row.count
        data = mapped(file, n * (width + _ID.itemsize + _SUM.itemsize))
        tail = data[n * width :].tobytes()
        if hashlib.sha256(tail).hexdigest() != self._facts.get("tail"):
            raise IndexDamaged(f"{file} does not have its checksum")
        self.ids: Ids = np.frombuffer(tail, _ID, n)
        self._sums = np.frombuffer(tail, _SUM, n, n * _ID.itemsize)
        self._rows = data[: n * width].reshape(n, width)

    def take(self, places: Ids) -> Vectors:
        """Exact vectors (m, dim) float32 by their place in the segment.

        Raises:
            IndexDamaged: one of them is not what was written.
        """
        rows = self._rows[places]  # (m, width) uint8
        for row, place in zip(rows, places, strict=True):
            if zlib.crc32(row) != self._sums[place]:
                raise IndexDamaged(f"{self._file}: row {place} does not have its checksum")
        return rows.view(_ROW).astype(np.float32)

    def everything(self) -> Stored:
        """All rows: (n, dim) float16, checked as a whole. Raises as ``take``."""
        if hashlib.sha256(self._rows.data).hexdigest() != self._facts.get("rows"):
            raise IndexDamaged(f"{self._file} does not have its checksum")
        whole: Stored = self._rows.view(_ROW)
        return whole


def mapped(file: Path, size: int) -> NDArray[np.uint8]:
    """A file's bytes, read when they are touched.

    Raises:
        IndexDamaged: it is not there or not that long.
    """
    try:
        if file.stat().st_size != size:
            raise IndexDamaged(f"{file} is {file.stat().st_size} bytes long, not {size}")
        # As a plain array, of which parts are taken in a third of the time
        return np.asarray(np.memmap(file, np.uint8, "r")) if size else np.empty(0, np.uint8)
    except OSError as error:
        raise IndexDamaged(f"{file} cannot be read: {error.strerror}") from error
