"""Segments: vectors on disk that are checked before they are used, and how they are merged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvis.errors import IndexDamaged
from ragvis.index.derive import SMALL, merge_from
from ragvis.store import vectors
from ragvis.store.segments import FAISS, ROWS, Rows, SegmentRow, write_rows
from ragvis.store.vector_index import Part, VectorIndex
from ragvis.store.vectors import Flat, Inverted, _sums_of, write_inverted

DIM = 16
NONE = np.empty(0, np.int64)


def clustered(n: int, seed: int = 0) -> Any:
    """Unit rows around fifty centres, float16."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(50, DIM))
    rows = centres[random.integers(0, 50, n)] + 0.3 * random.normal(size=(n, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def written(folder: Path, n: int, inverted: bool = False) -> SegmentRow:
    """A segment of items 100, 102, 104, …"""
    rows, ids = clustered(n), 100 + 2 * np.arange(n)
    pieces = [(ids[i : i + 1000], rows[i : i + 1000]) for i in range(0, n, 1000)]
    sums = {ROWS: write_rows(folder / "s.rows", pieces)}
    if inverted:
        sums[FAISS] = write_inverted(folder / "s.faiss", rows, clustered(64, 5).astype(np.float32))
    return SegmentRow("s", "text", 100, 100 + 2 * n, n, json.dumps(sums))


def written_in_format_3(folder: Path, n: int) -> SegmentRow:
    """The same, with codes that FAISS scales itself."""
    row = written(folder, n, inverted=True)
    rows, coarse = clustered(n).astype(np.float32), faiss.IndexFlatIP(DIM)
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(coarse, DIM, 32, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    faiss.write_index(index, str(folder / "s.faiss"))
    sums = {ROWS: row.facts(ROWS), FAISS: _sums_of(folder / "s.faiss", index, DIM) | {"nprobe": 8}}
    return replace(row, sums=json.dumps(sums))


def exact(queries: Any, rows: Any, k: int) -> tuple[Any, Any]:
    scores = queries @ rows.astype(np.float32).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), 100 + 2 * order


def no_mending(_: int, damage: IndexDamaged) -> Part:
    raise damage


def test_flat_finds_what_numpy_finds(tmp_path: Path) -> None:
    row = written(tmp_path, 2500)
    index = VectorIndex([Flat.load(tmp_path, row, DIM, NONE)], no_mending)
    queries = clustered(7, 3).astype(np.float32)
    scores, ids = index.search(queries, 10)
    true_scores, true_ids = exact(queries, clustered(2500), 10)
    assert scores == pytest.approx(true_scores, abs=1e-5)
    assert ids.tolist() == true_ids.tolist()
    assert index.rows(np.array([106]))[0] == pytest.approx(clustered(2500)[3].astype(np.float32))
    with pytest.raises(KeyError):
        index.rows(np.array([107]))


@pytest.mark.parametrize("write", [partial(written, inverted=True), written_in_format_3])
def test_an_inverted_file_finds_nearly_all_with_exact_scores(
    tmp_path: Path, write: Callable[[Path, int], SegmentRow]
) -> None:
    row = write(tmp_path, 9000)
    part = Inverted(tmp_path, row, DIM, NONE)
    queries = clustered(50, 3).astype(np.float32)
    scores, ids = part.search(queries, 10)
    _, true_ids = exact(queries, clustered(9000), 10)
    found = [len(set(a) & set(b)) for a, b in zip(ids.tolist(), true_ids.tolist(), strict=True)]
    assert np.mean(found) >= 9.8
    rows = clustered(9000).astype(np.float32)[(ids - 100) // 2]  # (50, 10, 16)
    assert scores == pytest.approx(np.einsum("qkd,qd->qk", rows, queries), abs=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()
    part.check()


@pytest.mark.parametrize("dim", [16, 20, 64])
def test_dimensions_of_any_number_and_range(dim: int, tmp_path: Path) -> None:
    random = np.random.default_rng(dim)
    rows = random.normal(size=(5000, dim))
    rows[:, 0], rows[:, 1] = 0.25, 20 * rows[:, 1]  # one says nothing, and one much
    stored = (rows / 100).astype(np.float16)
    queries = random.normal(size=(30, dim)).astype(np.float32)
    sums = {ROWS: write_rows(tmp_path / "s.rows", [(100 + 2 * np.arange(5000), stored)])}
    sums[FAISS] = write_inverted(tmp_path / "s.faiss", stored, queries)
    part = Inverted(tmp_path, SegmentRow("s", "text", 0, 10**6, 5000, json.dumps(sums)), dim, NONE)
    _, true = exact(queries, stored, 10)
    found = part.search(queries, 10)[1]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(true, found, strict=True)]) > 0.95
    assert (part.search(np.zeros((1, dim), np.float32), 3)[1] >= 0).all()


def test_equal_vectors_do_not_make_every_list_be_probed(tmp_path: Path) -> None:
    rows = clustered(20_000)
    rows[::5] = rows[0]
    queries = clustered(64, 5).astype(np.float32)
    queries[:32] = rows[0]
    facts = write_inverted(tmp_path / "s.faiss", rows, queries)
    assert facts["nprobe"] <= 64


def test_the_graph_looks_no_further_than_the_chosen_lists_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_GRAPH_FROM", 1)
    monkeypatch.setattr(vectors, "_GRAPH_WIDTH", 1)
    monkeypatch.setattr(vectors, "_RECALL", 2.0)  # never reached: all lists are tried
    facts = write_inverted(tmp_path / "s.faiss", clustered(5000), clustered(50, 3).astype("f4"))
    index = faiss.read_index(str(tmp_path / "s.faiss"))
    assert facts["nprobe"] < index.nlist
    assert faiss.downcast_index(index.quantizer).hnsw.efSearch == 4 * facts["nprobe"]


@pytest.mark.parametrize("inverted", [False, True])
def test_the_dead_are_not_found(tmp_path: Path, inverted: bool) -> None:
    row = written(tmp_path, 9000, inverted)
    query = clustered(1, 3).astype(np.float32)
    load = Inverted if inverted else Flat.load
    dead = np.sort(load(tmp_path, row, DIM, NONE).search(query, 100)[1][0])
    part = load(tmp_path, row, DIM, np.append(dead, 10**9))  # and one that is not here
    assert len(part) == 9000 - 100
    _, ids = part.search(query, 50)
    assert not set(ids[0].tolist()) & set(dead.tolist())
    everything = VectorIndex([part], no_mending).search(query, 10**6)[1][0]
    assert len(everything) == 8900
    if not inverted:
        assert (everything >= 0).all()


def test_parts_are_searched_as_one(tmp_path: Path) -> None:
    rows = clustered(300)
    ids = 100 + 2 * np.arange(300)
    parts = [Flat(ids[a:b], rows[a:b], NONE) for a, b in ((0, 100), (100, 101), (101, 300), (0, 0))]
    queries = clustered(4, 3).astype(np.float32)
    _, found = VectorIndex(parts, no_mending).search(queries, 20)
    assert found.tolist() == exact(queries, rows, 20)[1].tolist()
    assert VectorIndex([], no_mending).search(queries, 5)[1].shape == (4, 0)


@pytest.mark.parametrize("suffix", [ROWS, FAISS])
def test_a_flipped_bit_is_told_before_its_bytes_are_used(tmp_path: Path, suffix: str) -> None:
    row = written(tmp_path, 6000, inverted=True)
    file = tmp_path / f"s{suffix}"
    good = file.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(good), 60):
        bad = bytearray(good)
        bad[place] ^= 1 << int(place % 8)
        file.write_bytes(bad)
        with pytest.raises(IndexDamaged, match="checksum"):
            Inverted(tmp_path, row, DIM, NONE).check()
        if suffix == ROWS:
            with pytest.raises(IndexDamaged, match="checksum"):
                Flat.load(tmp_path, row, DIM, NONE)
    for size in (0, 7, len(good) - 1):
        file.write_bytes(good[:size])
        with pytest.raises(IndexDamaged, match="bytes long"):
            Inverted(tmp_path, row, DIM, NONE)
    file.unlink()
    with pytest.raises(IndexDamaged, match="cannot be read"):
        Inverted(tmp_path, row, DIM, NONE)


def test_damage_met_by_a_search_is_mended_behind_it(tmp_path: Path) -> None:
    row = written(tmp_path, 6000, inverted=True)
    whole = Inverted(tmp_path, row, DIM, NONE)
    query = clustered(1, 3).astype(np.float32)
    best = whole.search(query, 1)[1][0, 0]
    rows = Rows(tmp_path / "s.rows", row, DIM)
    place = int(np.searchsorted(rows.ids, best))
    with (tmp_path / "s.rows").open("r+b") as stream:
        stream.seek(place * DIM * 2)
        stream.write(b"\x00\x3c")
    told: list[str] = []

    def mend(at: int, damage: IndexDamaged) -> Part:
        told.append(str(damage))
        return Flat(100 + 2 * np.arange(6000), clustered(6000), NONE)

    index = VectorIndex([Inverted(tmp_path, row, DIM, NONE)], mend)
    assert index.search(query, 1)[1][0, 0] == best
    assert len(told) == 1 and f"row {place}" in told[0]


def segments(counts: list[int]) -> list[SegmentRow]:
    starts = np.cumsum([0, *counts]).tolist()
    return [
        SegmentRow(str(i), "text", start, start + n - 1, n, "{}")
        for i, (start, n) in enumerate(zip(starts, counts, strict=False))
    ]


@given(st.lists(st.integers(1, 10**6), max_size=9), st.integers(0, 10**6))
def test_merging_leaves_few_segments_each_larger_than_the_rest(counts: list[int], new: int) -> None:
    start = merge_from(segments(counts), counts, new)
    if not new:
        assert start == len(counts)
        return
    size = new + sum(counts[start:])
    assert start == 0 or counts[start - 1] >= max(2 * size, SMALL)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), min_size=1, max_size=9))
def test_segments_full_of_dead_are_rewritten(drawn: list[tuple[int, float]]) -> None:
    counts = [n for n, _ in drawn]
    alive = [int(n * share) for n, share in drawn]
    start = merge_from(segments(counts), alive, 0)
    assert all(a >= 0.75 * n for a, n in zip(alive[:start], counts[:start], strict=True))
    if all(a >= 0.75 * n for a, n in zip(alive, counts, strict=True)):
        assert start == len(counts)


def test_items_that_come_one_by_one_are_rewritten_seldom() -> None:
    counts: list[int] = []
    written_rows = 0
    for _ in range(5000):
        start = merge_from(segments(counts), counts, 100)
        counts[start:] = [100 + sum(counts[start:])]
        written_rows += counts[-1]
    assert len(counts) <= 12
    assert written_rows <= 40 * 500_000
