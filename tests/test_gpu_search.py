"""Search on a GPU: the same results, once the copy pays, and the CPU where it cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from conftest import HalfGpu
from test_segments import DIM, NONE, clustered, exact, no_mending, written

from ragvis import Retriever
from ragvis.store import vectors
from ragvis.store.gpu import FLAT, INVERTED, OnGpu
from ragvis.store.segments import ROWS
from ragvis.store.vector_index import VectorIndex
from ragvis.store.vectors import Flat, Inverted, on_gpu

COUNT = 9000
AFTER = FLAT.after
DEAD = 100 + 2 * np.arange(0, COUNT, 3)


def queries(n: int = AFTER) -> Any:
    return clustered(n, 3).astype(np.float32)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few vectors are enough for the GPU."""
    monkeypatch.setattr(vectors, "GPU_FROM", 1)


def opened(folder: Path, inverted: bool, dead: Any = DEAD) -> Flat | Inverted:
    row = written(folder, COUNT, inverted)
    return (Inverted if inverted else Flat.load)(folder, row, DIM, dead)


def asked_enough(part: Flat | Inverted) -> Any:
    """On the GPU with the next many queries."""
    on: Any = on_gpu(part)
    on._asked = INVERTED.after
    return on


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("inverted", [False, True])
def test_the_same_is_found_and_nothing_dead(gpu: HalfGpu, tmp_path: Path, inverted: bool) -> None:
    part = asked_enough(opened(tmp_path, inverted))
    scores, ids = part.search(queries(), 10)
    assert gpu.copies == gpu.searches == 1
    living = np.setdiff1d(np.arange(COUNT), (DEAD - 100) // 2)
    true_scores, _ = exact(queries(), clustered(COUNT)[living], 10)
    assert scores == pytest.approx(true_scores, abs=1e-5)
    assert not np.isin(ids, DEAD).any()
    rows = clustered(COUNT).astype(np.float32)[(ids - 100) // 2]  # (64, 10, 16)
    assert scores == pytest.approx(np.einsum("qkd,qd->qk", rows, queries()), abs=1e-5)


@pytest.mark.usefixtures("small")
def test_a_few_questions_do_not_pay_for_a_copy(gpu: HalfGpu, tmp_path: Path) -> None:
    part = on_gpu(opened(tmp_path, inverted=False))
    for query in queries(AFTER - 1):
        part.search(query[None], 10)
    assert gpu.copies == 0
    part.search(queries(2), 10)
    part.search(queries(1), 10)
    assert (gpu.copies, gpu.searches) == (1, 2)


@pytest.mark.usefixtures("small")
def test_of_an_inverted_file_only_many_at_once_are_asked_there(
    gpu: HalfGpu, tmp_path: Path
) -> None:
    part, (least, after) = on_gpu(opened(tmp_path, inverted=True)), (64, 2048)
    assert (INVERTED.at_once, INVERTED.after) == (least, after)
    for _ in range(2 + after // (least - 1)):
        part.search(queries(least - 1), 10)
    part.search(queries(after - 1), 10)
    assert gpu.copies == 0
    part.search(queries(least), 10)
    assert (gpu.copies, gpu.searches) == (1, 1)


def test_a_small_part_stays_where_it_is(gpu: HalfGpu, tmp_path: Path) -> None:
    part = opened(tmp_path, inverted=False)
    assert on_gpu(part) is part
    assert gpu.copies == 0


@pytest.mark.usefixtures("small")
def test_a_filter_and_a_long_list_are_for_the_cpu(gpu: HalfGpu, tmp_path: Path) -> None:
    part = opened(tmp_path, inverted=False)
    few = 100 + 2 * np.array([1, 4, 5, 7])
    for k, among in ((3, few), (2000, None)):
        cpu, on = part.search(queries(), k, among), on_gpu(part).search(queries(), k, among)
        assert (cpu[1] == on[1]).all()
    assert gpu.copies == 0


@pytest.mark.usefixtures("small")
def test_fewer_than_were_asked_for_are_filled_up(gpu: HalfGpu, tmp_path: Path) -> None:
    part = on_gpu(opened(tmp_path, inverted=False, dead=100 + 2 * np.arange(COUNT - 2)))
    scores, ids = part.search(queries(), 5)
    assert gpu.searches == 1
    assert (ids[:, 2:] == -1).all() and np.isneginf(scores[:, 2:]).all()
    assert set(ids[0, :2].tolist()) == {100 + 2 * (COUNT - 2), 100 + 2 * (COUNT - 1)}


@pytest.mark.usefixtures("small")
def test_a_gpu_without_room_is_told_of_once(gpu: HalfGpu, tmp_path: Path) -> None:
    gpu.room, said = 1000, list[str]()
    part = opened(tmp_path, inverted=False)
    tried = on_gpu(part, said.append)
    for _ in range(3):
        assert (tried.search(queries(), 10)[1] == part.search(queries(), 10)[1]).all()
    assert gpu.copies == 1
    assert said == [
        "6000 vectors are searched on the CPU, not on the GPU:"
        " Error in GpuResources::allocMemory: out of memory"
    ]


@pytest.mark.usefixtures("small")
def test_many_threads_take_turns(gpu: HalfGpu, tmp_path: Path) -> None:
    part = on_gpu(opened(tmp_path, inverted=False))
    alone = part.search(queries(), 10)[1]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: part.search(queries(), 10)[1], range(40)))
    assert all((ids == alone).all() for ids in found)
    assert (gpu.copies, gpu.searches) == (1, 41)


@pytest.mark.usefixtures("small")
def test_a_damaged_row_is_noticed_before_it_is_copied(gpu: HalfGpu, tmp_path: Path) -> None:
    part = opened(tmp_path, inverted=True, dead=NONE)
    with (tmp_path / ("s" + ROWS)).open("r+b") as file:
        file.seek(5000 * DIM * 2)
        file.write(b"damage")
    sound = Flat(100 + 2 * np.arange(COUNT), clustered(COUNT), NONE)
    index = VectorIndex([asked_enough(part)], lambda i, damage: sound)
    assert (index.search(queries(), 10)[1] == sound.search(queries(), 10)[1]).all()
    assert gpu.searches == 0
    with pytest.raises(vectors.IndexDamaged):
        VectorIndex([asked_enough(part)], no_mending).search(queries(), 10)


@pytest.mark.usefixtures("small")
def test_a_retriever_gives_the_same_hits(
    gpu: HalfGpu, make_index: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add([folder])
    assert gpu.copies == 0  # a writer, who measures with some hundred queries, wants none
    asked = ["pump", "lamp", "candles", "red"] * AFTER
    on = Retriever(index).search_many(asked, k=3)
    assert gpu.searches
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    assert Retriever(index).search_many(asked, k=3) == on


@pytest.mark.skipif(not vectors.gpus(), reason="FAISS has no GPU here")
def test_on_a_real_gpu(tmp_path: Path) -> None:
    part = opened(tmp_path, inverted=True)
    on = OnGpu(part, lambda: vectors.GpuCopy(part), FLAT)
    found, true = on.search(queries(), 10), part.search(queries(), 10)
    assert on._copy is not None
    living = np.setdiff1d(np.arange(COUNT), (DEAD - 100) // 2)
    best, _ = exact(queries(), clustered(COUNT)[living], 10)
    assert found[0] == pytest.approx(best, abs=1e-3)
    assert np.mean(found[1] == true[1]) > 0.98  # an inverted file may miss one
