"""The segments of vectors that are derived from the catalog: opened, mended, merged.

They grow as in a log-structured merge tree: what is new becomes a segment, taken together with
the segments before it that are not much larger. So few stand at any time, and a vector is
rewritten a number of times that grows with the logarithm of the index.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragvis.errors import IndexDamaged
from ragvis.index import boilerplate, calibration
from ragvis.index.boilerplate import Boilerplate
from ragvis.prompts import UNRELATED_QUERIES
from ragvis.store.catalog import Catalog
from ragvis.store.segments import DAMAGED, FAISS, ROWS, SegmentRow, write_rows
from ragvis.store.trouble import told
from ragvis.store.vector_index import VectorIndex
from ragvis.store.vectors import INVERTED_FROM, Flat, Inverted, on_gpu, write_inverted
from ragvis.types import MODALITIES, Modality, Tell, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.encoder import Encoder

    Vectors = NDArray[np.float32]

_OURS = re.compile(
    r"(text|image)-\d+-\d+-\d+\.(rows|faiss|damaged)(\.part)?|catalog\.part(-\w+)?"
    r"|writer\.json\.part|(text|image)\.\d+\.(faiss|part)"  # the last of format 1
)
SMALL = 4096  # vectors; a segment up to this is always taken into the next one
_EVERY = 50_000  # new items of a long run
_SMALL_TEXT = 5000  # passages; of fewer the boilerplate is looked for after every change
_STALE = 1 / 16  # share of the passages that may have changed before it is looked for again
_DEAD = 0.25  # share of a segment's vectors that may be dead before it is rewritten


class Segments:
    """The segments of one modality, opened as one ``VectorIndex``."""

    def __init__(self, catalog: Catalog, modality: Modality, tell: Tell = silent) -> None:
        self._catalog = catalog
        self._modality = modality
        self._tell = tell
        self._dim = catalog.dim
        self._dead = catalog.dead(modality)

    def open(self, rows: Sequence[SegmentRow], for_readers: bool = False) -> VectorIndex:
        """Everything up to now: the segments, and what is in none of them yet. Only for readers
        a GPU is worth it: a writer asks once, of what it is about to change again."""
        parts = [self.load(row) for row in rows]
        parts.append(self._gathered(rows[-1].last + 1 if rows else 0, 2**62))
        searched = [on_gpu(part, self._tell) if for_readers else part for part in parts]
        return VectorIndex(searched, lambda i, damage: self._mended(rows[i], damage))

    def load(self, row: SegmentRow) -> Flat | Inverted:
        """One segment, or what the catalog says of its items where its files are damaged."""
        try:
            return self.as_written(row)
        except IndexDamaged as damage:
            return self._mended(row, damage)

    def as_written(self, row: SegmentRow) -> Flat | Inverted:
        """One segment from its files.

        Raises:
            IndexDamaged: they are not what was written.
        """
        kind = Inverted if row.facts(FAISS) else Flat.load
        return kind(self._catalog.folder, row, self._dim, self._dead)

    def problems(self) -> list[str]:
        """Read every byte of every segment; what is wrong with each."""
        found = []
        for row in self._catalog.segments(self._modality):
            try:
                self.as_written(row).check()
            except IndexDamaged as damage:
                found.append(str(damage))
                self._mark(row)
        return found

    def _mended(self, row: SegmentRow, damage: IndexDamaged) -> Flat:
        self._tell(f"{damage}; rebuilt from the catalog, on disk by the next `ragvis index`")
        self._mark(row)
        return self._gathered(row.first, row.last)

    def _mark(self, row: SegmentRow) -> None:
        """Leave word for the next writer, who does not read the whole of each segment."""
        with contextlib.suppress(OSError):  # a folder that is read-only is mended by its owner
            (self._catalog.folder / (row.name + DAMAGED)).touch()

    def _gathered(self, first: int, last: int) -> Flat:
        pieces = list(self._catalog.vectors(self._modality, first, last))
        none = np.empty(0, np.int64)
        ids = np.concatenate([none, *(ids for ids, _ in pieces)])
        empty = np.empty((0, self._dim), np.float16)
        return Flat(ids, np.concatenate([empty, *(rows for _, rows in pieces)]), none)


def merge_from(segments: Sequence[SegmentRow], alive: Sequence[int], new: int) -> int:
    """The first of the segments that are written anew, all later ones and the ``new`` vectors
    with it; ``len(segments)`` where it is the new ones alone.

    Args:
        alive: vectors of each segment that are not dead; 0 for a damaged one.
    """
    worn = [i for i, s in enumerate(segments) if alive[i] < (1 - _DEAD) * s.count]
    start = min(worn, default=len(segments))
    if not new and not worn:
        return start
    size = new + sum(alive[start:])
    while start and alive[start - 1] < max(2 * size, SMALL):
        start -= 1
        size += alive[start]
    return start


class Merge:
    """Brings the segments of one modality up to the catalog; hold the writer's lock.

    The files are written before the commit that names them: a writer killed between the two
    leaves files that nobody names, and the next one sweeps them away.
    """

    def __init__(self, catalog: Catalog, modality: Modality, tell: Tell) -> None:
        self._catalog = catalog
        self._modality = modality
        self._tell = tell
        old = catalog.segments(modality)
        self._last = catalog.last_id(modality)
        new = catalog.count(modality, old[-1].last + 1 if old else 0, self._last)
        start = merge_from(old, self._alive(old), new)
        self._kept, self._dropped = old[:start], old[start:]
        self._first = self._kept[-1].last + 1 if self._kept else 0
        self.is_needed = bool(new or self._dropped)

    def _alive(self, segments: Sequence[SegmentRow]) -> list[int]:
        dead = self._catalog.dead(self._modality)
        ends = [np.searchsorted(dead, (s.first, s.last + 1)) for s in segments]
        counts = [s.count - int(b - a) for s, (a, b) in zip(segments, ends, strict=True)]
        sound = [is_in_place(self._catalog.folder, s) for s in segments]
        return [n if whole else 0 for n, whole in zip(counts, sound, strict=True)]

    def write(self, queries: Callable[[], Vectors]) -> list[SegmentRow]:
        """Write what has to be written; the segments as they shall stand.

        Args:
            queries: (q, dim) samples of what will be asked, for a large segment.

        Raises:
            StorageError: the disk refuses.
        """
        count = self._catalog.count(self._modality, self._first, self._last)
        if not self.is_needed or not count:
            return self._kept
        place = (self._first, self._last)
        name = f"{self._modality}-{self._first}-{self._last}-{self._catalog.generation}"
        file = self._catalog.folder / (name + ROWS)
        with told(file):
            sums = {ROWS: write_rows(file, self._catalog.vectors(self._modality, *place))}
            if count >= self._inverted_from():
                self._tell(f"sorting {count} {self._modality} vectors for quick search")
                rows = np.memmap(file, np.dtype("<f2"), "r", shape=(count, self._catalog.dim))
                sums[FAISS] = write_inverted(file.with_suffix(FAISS), rows, queries())
        return [*self._kept, SegmentRow(name, self._modality, *place, count, json.dumps(sums))]

    def _inverted_from(self) -> int:
        """A small segment beside a large one may not slow it down."""
        large = any(s.facts(FAISS) for s in self._kept)
        return SMALL if large else INVERTED_FROM

    def commit(self, segments: Sequence[SegmentRow]) -> None:
        """Name the new segments in the catalog, within its ``commit``."""
        if self.is_needed:
            self._catalog.set_segments(self._modality, segments, len(self._kept))


def near(stored: Vectors) -> Vectors:
    """Points near stored vectors, each drawn towards another one: (n, dim), unit rows."""
    rows = stored + 0.5 * np.roll(stored, 1, axis=0)
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def is_in_place(folder: Path, row: SegmentRow) -> bool:
    """Whether a segment's files are there and nobody found them damaged."""
    wanted = [suffix for suffix in (ROWS, FAISS) if row.facts(suffix)]
    there = all((folder / (row.name + suffix)).is_file() for suffix in wanted)
    return there and not (folder / (row.name + DAMAGED)).exists()


def sweep(folder: Path, rows: Iterable[SegmentRow]) -> None:
    """Remove what no segment names: older ones, and what a killed writer left half-written."""
    wanted = {row.name + suffix for row in rows for suffix in (ROWS, FAISS)}
    for stale in folder.iterdir():
        # The folder may hold other people's files too: only names that we give are ours.
        if _OURS.fullmatch(stale.name) and stale.name not in wanted:
            with contextlib.suppress(OSError):  # Windows keeps what a reader has mapped
                stale.unlink()


class Derivation:
    """All that is derived, brought up to the catalog by its writer.

    Args:
        encoder: loads the encoder; called only where the calibration's own queries are missing.
    """

    def __init__(self, writer: Catalog, encoder: Callable[[], Encoder], tell: Tell) -> None:
        self._writer = writer
        self._encoder = encoder
        self._tell = tell
        self._new = 0

    def on_commit(self, items: int) -> None:
        """Derive in the middle of a long run: readers need not gather all that is new."""
        self._new += items
        if self._new >= _EVERY:
            self.run()

    def finish(self) -> None:
        """Derive, and remove the files that nothing names any more."""
        self.run()
        sweep(self._writer.folder, (s for m in MODALITIES for s in self._writer.segments(m)))

    def run(self) -> None:
        """Write the segments and the calibration, where they are behind the catalog."""
        self._new = 0
        merges = {m: Merge(self._writer, m, self._tell) for m in MODALITIES}
        meta = self._writer.meta()
        is_whole = {"calibration", "boilerplate"} <= meta.keys()
        is_current = is_whole and meta.get("derived") == meta["generation"]
        if is_current and not any(merge.is_needed for merge in merges.values()):
            return
        texts = self._unrelated()
        samples = {m: self._writer.sample(m, calibration.SAMPLES) for m in MODALITIES}
        centred = calibration.centred(texts, samples)
        rows = {
            m: merges[m].write(partial(_asked, centred, texts, m, samples[m])) for m in MODALITIES
        }
        opened = {m: Segments(self._writer, m, self._tell).open(rows[m]) for m in MODALITIES}
        measured = calibration.measure(centred, texts, samples["image"], opened).to_json()
        lines = self._boilerplate(meta.get("boilerplate"))
        with self._writer.commit():
            for modality, merge in merges.items():
                merge.commit(rows[modality])
            unrelated, derived = texts.astype("<f2").tobytes().hex(), self._writer.generation + 1
            self._writer.set_meta(calibration=measured, unrelated=unrelated, derived=str(derived))
            self._writer.set_meta(boilerplate=lines.to_json())

    def _boilerplate(self, known: str | None) -> Boilerplate:
        """As it was found before, while little has changed: every passage is read for it."""
        newest = self._writer.last_id("text")
        passages = self._writer.count("text", 0, newest)
        if known and passages >= _SMALL_TEXT:
            before = Boilerplate.parse(known)
            new = self._writer.count("text", before.newest + 1, newest)
            gone = before.passages + new - passages
            if new + gone <= _STALE * passages:
                return before
        return Boilerplate(boilerplate.find(self._writer.passages()), passages, newest)

    def _unrelated(self) -> Vectors:
        """The unrelated queries' vectors: (n, dim) float32. They are kept, so that a run in which
        nothing is embedded loads no encoder."""
        known = bytes.fromhex(self._writer.meta().get("unrelated", ""))
        if len(known) == len(UNRELATED_QUERIES) * self._writer.dim * 2:
            return np.frombuffer(known, "<f2").reshape(-1, self._writer.dim).astype(np.float32)
        return self._encoder().encode_queries(list(UNRELATED_QUERIES))


def _asked(
    centred: calibration.Calibration, texts: Vectors, modality: Modality, stored: Vectors
) -> Vectors:
    """What may be asked of a modality: unrelated texts, and points near what is stored."""
    some = stored[:: max(1, len(stored) // calibration.PICTURES)]
    around = calibration.unit(near(some) - centred.centres[modality])
    return np.concatenate([centred.query("text", texts), around])
