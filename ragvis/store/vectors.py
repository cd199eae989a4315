"""The one module that knows FAISS: search over the segments of one modality."""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis._files import replace
from ragvis._lazy import require
from ragvis.errors import IndexDamaged
from ragvis.store import codes
from ragvis.store.gpu import FLAT, INVERTED, OnGpu
from ragvis.store.segments import FAISS, ROWS, Rows, SegmentRow, mapped
from ragvis.store.vector_index import Part, best_of, places_of
from ragvis.types import Tell, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Stored = NDArray[np.float16]
    Ids = NDArray[np.int64]

INVERTED_FROM = 100_000  # vectors; below, exact search is quick enough
_GRAPH_FROM = 1024  # lists; fewer are compared one by one
_GRAPH_WIDTH = 128  # candidates that the graph keeps; a wide search costs little
_TRAIN = 40  # vectors to train on, for each list; FAISS asks for 39
_PROBES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
_RECALL = 0.985  # of the true ten best, on samples that are harder than most queries
_FEW = 20_000  # items that a filter leaves, up to which all of them are compared
_FILTERED = 4  # times as many lists are probed where a filter leaves more
_ID = 8  # bytes of an id in an inverted list
_LEAST_GAIN = 0.005  # of recall, for which more lists would be probed
GPU_FROM = 20_000  # vectors; fewer are compared on the CPU before a GPU has been asked
_GPU_MEMORY = 2**28  # bytes for intermediate results
_SUM = np.dtype("<u4")


def library() -> str:
    """FAISS' version and what it runs on.

    Raises:
        MissingExtra: it is not installed.
    """
    version, count = require("faiss").__version__, gpus()
    return f"{version}, {count} GPUs" if count else f"{version}, searches on the CPU"


def gpus() -> int:
    """How many FAISS can use; 0 in its CPU build. Raises as ``library``."""
    return int(getattr(require("faiss"), "get_num_gpus", int)())


class Flat:
    """Exact search in memory over vectors as they are stored, in half precision."""

    def __init__(self, ids: Ids, rows: Stored, dead: Ids) -> None:
        """ids: (n,) int64, ascending; rows: (n, dim) float16; dead: ids to leave out."""
        faiss = require("faiss")
        self.ids = ids
        kind = faiss.ScalarQuantizer.QT_fp16
        self._index = faiss.IndexScalarQuantizer(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if len(ids):
            self._index.add_sa_codes(np.ascontiguousarray(rows).view(np.uint8))
        self._alive = _Alive(ids, dead)

    @classmethod
    def load(cls, folder: Path, row: SegmentRow, dim: int, dead: Ids) -> Flat:
        """Raises:
        IndexDamaged: the segment's file is not the one that was written.
        """
        rows = Rows(folder / (row.name + ROWS), row, dim)
        return cls(rows.ids, rows.everything(), dead)

    def __len__(self) -> int:
        return self._alive.count

    def search(self, queries: Vectors, k: int, among: Ids | None = None) -> tuple[Vectors, Ids]:
        """See ``Part``."""
        selector = self._alive.selector(among)
        params = require("faiss").SearchParameters(sel=selector)
        scores, places = self._index.search(queries, k, params=params)
        ids = np.where(places >= 0, self.ids[places], -1)  # (q, k)
        return scores, ids

    def living(self) -> Ids:
        """The places of what is not dead."""
        return self._alive.places()

    def take(self, places: Ids) -> Vectors:
        """See ``Part``."""
        rows: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(places))
        return rows

    def check(self) -> None:
        """Its file was read whole when it was loaded."""


class Inverted:
    """A shortlist from an inverted file with 8-bit codes, then exact cosines from the rows.

    Both files stay where they are and are read where they are touched; each inverted list is
    checked before FAISS first reads it, each row whenever it is read.
    """

    def __init__(self, folder: Path, row: SegmentRow, dim: int, dead: Ids) -> None:
        """Raises:
        IndexDamaged: a file is not the one that was written, as far as is read here.
        """
        self._file = folder / (row.name + FAISS)
        self._rows = Rows(folder / (row.name + ROWS), row, dim)
        self.ids = self._rows.ids
        self._facts = row.facts(FAISS)
        self._bytes = mapped(self._file, self._facts["head_size"] + row.count * (dim + _ID))
        self._index = _open_checked(self._file, self._bytes, self._facts)
        self._ends = self._facts["head_size"] + np.cumsum(_list_sizes(self._index) * (dim + _ID))
        self._sums = np.frombuffer(bytes.fromhex(self._facts["lists"]), _SUM)
        # Format 3 has none: its codes are FAISS' own to scale
        factors = bytes.fromhex(self._facts.get("factors", ""))
        self._factors = np.frombuffer(factors, "<f4") if factors else None
        self._checked = np.zeros(self._index.nlist, bool)
        self._alive = _Alive(self.ids, dead)

    def __len__(self) -> int:
        return self._alive.count

    def search(self, queries: Vectors, k: int, among: Ids | None = None) -> tuple[Vectors, Ids]:
        """See ``Part``."""
        return best_of(self, queries, self._candidates(queries, k, among), k)

    def living(self) -> Ids:
        """The places of what is not dead."""
        return self._alive.places()

    def take(self, places: Ids) -> Vectors:
        """See ``Part``."""
        return self._rows.take(places)

    def check(self) -> None:
        """See ``Part``."""
        self._rows.everything()
        self._check_lists(np.arange(self._index.nlist))

    def _candidates(self, queries: Vectors, k: int, among: Ids | None) -> Ids:
        """(q, m) places of rows that are to be compared exactly; -1: none."""
        if among is not None and len(among) <= _FEW:
            places = places_of(self.ids, among)
            alive = places[(places >= 0) & self._alive.mask(places)]
            return np.broadcast_to(alive, (len(queries), len(alive)))
        return self._shortlists(queries, codes.shortlist(k), among)

    def _shortlists(self, queries: Vectors, k: int, among: Ids | None) -> Ids:
        """(q, k) places of rows, -1 where there are fewer."""
        # Of items strewn over all lists, a filter leaves fewer in each.
        probes = int(self._facts["nprobe"]) * (1 if among is None else _FILTERED)
        probes = min(probes, self._index.nlist)
        near, cells = self._index.quantizer.search(queries, probes)  # (q, probes)
        self._check_lists(np.unique(cells[cells >= 0]))
        selector = self._alive.selector(among)
        params = require("faiss").SearchParametersIVF(sel=selector, nprobe=probes)
        coded = queries if self._factors is None else codes.asked(queries, self._factors)
        return _search_lists(self._index, coded, near, cells, k, params)

    def _check_lists(self, cells: Ids) -> None:
        for cell in cells[~self._checked[cells]]:
            start = self._ends[cell - 1] if cell else self._facts["head_size"]
            if zlib.crc32(self._bytes[start : self._ends[cell]].data) != self._sums[cell]:
                raise IndexDamaged(f"{self._file}: list {cell} does not have its checksum")
            self._checked[cell] = True


class _Alive:
    """Which rows are not dead, and FAISS' selectors of them."""

    def __init__(self, ids: Ids, dead: Ids) -> None:
        gone = places_of(ids, dead)
        gone = gone[gone >= 0]
        self.count = len(ids) - len(gone)
        self._ids = ids
        self._bits: NDArray[np.bool_] | None = None
        self._whole: Any = None  # the selector where nothing is filtered
        if len(gone):
            self._bits = np.ones(len(ids), bool)
            self._bits[gone] = False
            self._whole = _selector(self._bits)

    def places(self) -> Ids:
        """Where the living rows are."""
        return np.arange(len(self._ids)) if self._bits is None else np.flatnonzero(self._bits)

    def mask(self, places: Ids) -> NDArray[np.bool_]:
        """Whether the rows at some places live."""
        return np.ones(len(places), bool) if self._bits is None else self._bits[places]

    def selector(self, among: Ids | None) -> Any:
        """Of what lives, and is among some items; None where that is everything."""
        if among is None:
            return self._whole
        places = places_of(self._ids, among)
        bits = np.zeros(len(self._ids), bool)
        bits[places[places >= 0]] = True
        return _selector(bits if self._bits is None else bits & self._bits)


def _selector(bits: NDArray[np.bool_]) -> Any:
    """FAISS' selector by a bitmap, which it does not copy: the two are kept together."""
    bitmap = np.packbits(bits, bitorder="little")
    selector = require("faiss").IDSelectorBitmap(bitmap)
    selector.bitmap_kept = bitmap
    return selector


# --- on a GPU -----------------------------------------------------------------------------


def on_gpu(part: Flat | Inverted, tell: Tell = silent) -> Part:
    """The part, searched on a GPU where FAISS has one and there is enough to compare."""
    if len(part) < GPU_FROM or not gpus():
        return part
    when = INVERTED if isinstance(part, Inverted) else FLAT
    return OnGpu(part, partial(GpuCopy, part), when, tell)


class GpuCopy:
    """The living vectors of a part on the first GPU, in half precision.

    FAISS' GPU indexes heed no selectors: the dead are not copied.
    """

    def __init__(self, part: Flat | Inverted) -> None:
        """Raises:
        RuntimeError: it has no room.
        IndexDamaged: a vector is not what was written.
        """
        faiss = require("faiss")
        self._places = part.living()
        self._resources = faiss.StandardGpuResources()
        self._resources.setTempMemory(_GPU_MEMORY)  # of itself it takes 1.5 GiB
        options = faiss.GpuClonerOptions()
        options.useFloat16 = True
        dim = part.take(self._places[:1]).shape[1]
        empty = faiss.IndexFlatIP(dim)
        self._index = faiss.index_cpu_to_gpu(self._resources, 0, empty, options)
        for start in range(0, len(self._places), codes.CHUNK):
            self._index.add(part.take(self._places[start : start + codes.CHUNK]))

    def near(self, queries: Vectors, k: int) -> Ids:
        """(q, k) places of the part, -1 where it has fewer. Raises RuntimeError as above."""
        _, found = self._index.search(queries, k)
        return np.where(found >= 0, self._places[found], -1)


# --- inverted files -----------------------------------------------------------------------


def write_inverted(file: Path, rows: Stored, queries: Vectors) -> dict[str, Any]:
    """Write ``NAME.faiss`` for rows (n, dim); what to note of it.

    Args:
        queries: (q, dim) sample queries, on which the number of lists to probe is chosen.

    Raises:
        OSError: the disk refuses.
    """
    faiss = require("faiss")
    index, coarse = _train(rows)  # FAISS keeps no reference to the second
    middles, factors = codes.ranges(rows)
    for start in range(0, len(rows), codes.CHUNK):
        _add(index, rows[start : start + codes.CHUNK].astype(np.float32), start, middles, factors)
    nprobe = _enough_probes(index, coarse, rows, queries, factors)
    part = file.with_name(file.name + ".part")
    with part.open("wb") as stream:
        try:  # by way of Python, which notices what FAISS does not: a disk that fills at the end
            faiss.write_index(index, faiss.PyCallbackIOWriter(stream.write))
        except RuntimeError as error:
            raise OSError(f"FAISS could not write {part.name}: {error}") from error
    facts = _sums_of(part, index, rows.shape[1])
    replace(part, file)
    return {**facts, "nprobe": nprobe, "factors": factors.astype("<f4").tobytes().hex()}


def _add(index: Any, rows: Vectors, start: int, middles: Vectors, factors: Vectors) -> None:
    """Rows (n, dim) into the lists that they are nearest to, as codes."""
    faiss = require("faiss")
    _, cells = index.quantizer.search(rows, 1)  # (n, 1)
    whole = codes.encoded(rows, middles, factors)
    ids = np.arange(start, start + len(rows), dtype=np.int64)
    x, names, lists = (faiss.swig_ptr(a) for a in (whole, ids, np.ascontiguousarray(cells)))
    index.add_core(len(rows), x, names, lists)


def _train(rows: Stored) -> tuple[Any, Any]:
    """Lists by k-means on a sample: the inverted file, still empty, and what finds the lists that
    are near."""
    faiss = require("faiss")
    n, dim = rows.shape
    nlist = 2 ** int(math.log2(max(1, min(6 * math.sqrt(n), n / _TRAIN))))
    sample = rows[:: max(1, n // (_TRAIN * nlist))][: _TRAIN * nlist].astype(np.float32)
    metric = faiss.METRIC_INNER_PRODUCT
    coarse = faiss.IndexFlatIP(dim)
    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    index = faiss.IndexIVFScalarQuantizer(coarse, dim, nlist, kind, metric, False)
    index.cp.niter = 8
    index.train(sample)
    if nlist >= _GRAPH_FROM:
        coarse = _graph_over(coarse.reconstruct_n(0, nlist))
        index.quantizer = coarse
    return index, coarse


def _graph_over(centres: Vectors) -> Any:
    """Finds the lists to probe without looking at every centre: centres (nlist, dim)."""
    faiss = require("faiss")
    graph = faiss.IndexHNSWFlat(centres.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 80
    graph.add(centres)
    return graph


def _enough_probes(
    index: Any, coarse: Any, rows: Stored, queries: Vectors, factors: Vectors
) -> int:
    """The fewest lists that bring nearly all of the true ten best into the shortlist."""
    faiss = require("faiss")
    tenth, coded = codes.tenth_best(rows, queries), codes.asked(queries, factors)  # (q,)
    recalls = {}
    for nprobe in (*(p for p in _PROBES if p < index.nlist), int(index.nlist)):
        _widen(coarse, nprobe)
        near, cells = coarse.search(queries, nprobe)
        params = faiss.SearchParametersIVF(nprobe=nprobe)
        found = _search_lists(index, coded, near, cells, codes.shortlist(10), params)
        recalls[nprobe] = codes.recall(rows, queries, found, tenth)
        if recalls[nprobe] >= _RECALL:
            return nprobe
    # What all lists miss is the codes' doing, and no number of lists brings it back
    least = recalls[index.nlist] - _LEAST_GAIN
    nprobe = next(n for n, recall in recalls.items() if recall >= least)
    _widen(coarse, nprobe)
    return nprobe


def _widen(coarse: Any, nprobe: int) -> None:
    """Have the graph look as far as so many lists need; the setting is saved with it."""
    if hasattr(coarse, "hnsw"):
        coarse.hnsw.efSearch = max(_GRAPH_WIDTH, 4 * nprobe)


def _list_sizes(index: Any) -> Ids:
    return np.array([index.invlists.list_size(i) for i in range(index.nlist)], np.int64)


def _sums_of(file: Path, index: Any, dim: int) -> dict[str, Any]:
    """Checksums of the head, which FAISS reads when it opens the file, and of each list."""
    sizes = _list_sizes(index) * (dim + _ID)
    data = np.memmap(file, np.uint8, "r")
    head = len(data) - int(sizes.sum())
    ends = head + np.cumsum(sizes)
    sums = [zlib.crc32(data[end - size : end].data) for end, size in zip(ends, sizes, strict=True)]
    return {
        "head_size": head,
        "head": hashlib.sha256(data[:head].data).hexdigest(),
        "lists": np.array(sums, _SUM).tobytes().hex(),
    }


def _open_checked(file: Path, data: NDArray[np.uint8], facts: dict[str, Any]) -> Any:
    """FAISS reads a damaged file without a word: it sees only a head that has its checksum."""
    if hashlib.sha256(data[: facts["head_size"]].data).hexdigest() != facts["head"]:
        raise IndexDamaged(f"{file} does not have its checksum")
    faiss = require("faiss")
    flags = 0 if os.name == "nt" else faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
    try:
        return faiss.read_index(str(file), flags)
    except RuntimeError as error:  # the disk failed between our reading and FAISS'
        raise IndexDamaged(f"{file} cannot be read by FAISS") from error


def _search_lists(
    index: Any, queries: Vectors, near: Vectors, cells: Ids, k: int, params: Any
) -> Ids:
    """FAISS' search of given lists; its Python wrapper takes no parameters there."""
    faiss = require("faiss")
    queries = np.ascontiguousarray(queries, np.float32)
    scores = np.empty((len(queries), k), np.float32)
    places = np.empty((len(queries), k), np.int64)
    arrays = [np.ascontiguousarray(a) for a in (cells, near)]
    given = [faiss.swig_ptr(a) for a in (*arrays, scores, places)]
    x = faiss.swig_ptr(queries)
    index.search_preassigned_c(len(queries), x, k, *given, False, params)
    return places
