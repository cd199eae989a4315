"""Batches of examples, and rows that hold several."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.pocket.branches import Sheaf, packed
from scripts.pocket.stages import Batches


@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=40), budget=st.integers(20, 300))
def test_batches_hold_every_example_once_an_epoch(lengths: list[int], budget: int) -> None:
    examples = [Sheaf([n] * length, [], [], [], images=()) for n, length in enumerate(lengths)]
    batches = Batches(examples, budget)
    seen: list[int] = []
    first = [one.ids[0] for one in batches.at(0)]
    step = 0
    while len(seen) < len(lengths):
        batch = batches.at(step)
        longest = max(len(one.ids) for one in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
        seen += [one.ids[0] for one in batch]
        step += 1
    assert sorted(seen) == list(range(len(lengths)))
    assert [one.ids[0] for one in batches.at(0)] == first


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60), width=st.integers(50, 200))
def test_rows_hold_every_sheaf_once(lengths: list[int], width: int) -> None:
    sheaves = [
        Sheaf([n] * k, [n] * k, list(range(k)), [1] * k, (Path(str(n)),))
        for n, k in enumerate(lengths)
    ]
    rows = packed(sheaves, width)
    assert all(len(row.ids) <= width for row in rows)
    held = [n for row in rows for n in dict.fromkeys(row.ids)]
    assert sorted(held) == list(range(len(lengths)))
    assert held == [int(image.name) for row in rows for image in row.images]
    for row in rows:
        assert all(row.ids.count(n) == lengths[n] for n in set(row.ids))
        assert [row.page[i] == row.page[0] for i in range(len(row.ids))] == [
            n == row.ids[0] for n in row.ids
        ]
        assert sum(w * w for w in row.weights) == pytest.approx(max(row.page) + 1)
