"""A sample of the reliability checks; ``scripts/reliability`` runs all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile import Hostile
from machine import Machine
from rows import Rows
from table import all_rows, can_run, check

FETCHED = {"14", "15", "20"}  # rows whose inputs come from elsewhere
SAMPLED = {"8": 20}  # commits take longest


@pytest.fixture(scope="module")
def machine(pocket_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    warm = Machine(tmp_path_factory.mktemp("reliability"))
    yield warm
    warm.close()


NAMES = [
    (number, what)
    for number, what, _ in all_rows(None, Hostile(None, Path(), Path()))  # type: ignore[arg-type]
    if number not in FETCHED
]


@pytest.mark.parametrize(("number", "what"), NAMES, ids=[f"{n}-{w}" for n, w in NAMES])
def test_row(machine: Machine, tmp_path: Path, number: str, what: str) -> None:
    if reason := can_run(number):
        pytest.skip(reason)
    every = SAMPLED.get(number, 40)
    rows = all_rows(Rows(machine, tmp_path, every), Hostile(machine, tmp_path, tmp_path, every))
    cases = next(cases for n, w, cases in rows if (n, w) == (number, what))
    total, failures = check(cases())
    assert total > 0
    assert failures == []
