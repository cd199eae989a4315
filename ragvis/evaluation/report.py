"""What an evaluation comes to, and how two of them compare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragvis.errors import UsageError
from ragvis.evaluation.statistics import interval, paired
from ragvis.types import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean over ``n`` questions with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Measure:
        """The mean of at least one value."""
        low, high = interval(values)
        return cls(sum(values) / len(values), low, high, len(values))


@dataclass(frozen=True, slots=True)
class Report:
    """Measures by name, and the rows they were taken from.

    A row is the question with its ``hits``, its ``ranks`` (of each relevant item, from 1, or null),
    and its own ``values`` by measure; with answers also what was said.
    """

    about: dict[str, Any]
    rows: list[dict[str, Any]]

    @property
    def measures(self) -> dict[str, Measure]:
        """Each measure over the questions that it applies to."""
        values: dict[str, list[float]] = {}
        for row in self.rows:
            for name, value in row["values"].items():
                values.setdefault(name, []).append(value)
        return {name: Measure.of(found) for name, found in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``ragvis eval``."""
        measures = {n: {k: _short(v) for k, v in asdict(m).items()} for n, m in self.ordered()}
        head = {"schema_version": SCHEMA_VERSION, **self.about, "measures": measures}
        return {**head, "rows": self.rows}

    def ordered(self) -> list[tuple[str, Measure]]:
        """The measures as they are shown: those over all questions first."""
        return sorted(self.measures.items(), key=lambda item: ("." in item[0], item[0]))

    def lines(self) -> list[str]:
        """A table for a terminal."""
        lines = [f"{'':28}{'mean':>8}   95 % interval      n"]
        for name, m in self.ordered():
            lines.append(f"{name:28}{m.value:8.3f}   {m.low:.3f} to {m.high:.3f}{m.n:7}")
        return lines


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure, before and after, over the questions that both evaluations asked."""

    name: str
    before: float
    after: float
    low: float  # of the difference, 95 %
    high: float
    p: float  # paired randomisation test, two-sided
    n: int


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Comparison]:
    """The paired test for each measure that both reports' rows hold (as ``to_dict`` gives them).

    Raises:
        UsageError: they have no question in common.
    """
    old, new = ({row["id"]: row["values"] for row in report["rows"]} for report in (before, after))
    shared = [i for i in old if i in new]
    if not shared:
        raise UsageError("the two evaluations have no question in common")
    names = dict.fromkeys(n for i in shared for n in old[i] if n in new[i])
    return [_compared(name, [(old[i], new[i]) for i in shared]) for name in sorted(names)]


def _compared(name: str, pairs: list[tuple[dict[str, float], dict[str, float]]]) -> Comparison:
    both = [(a[name], b[name]) for a, b in pairs if name in a and name in b]
    before, after = [a for a, _ in both], [b for _, b in both]
    change, low, high, p = paired(before, after)
    mean = sum(before) / len(before)
    return Comparison(name, mean, mean + change, low, high, p, len(both))


def read_report(file: Path) -> dict[str, Any]:
    """What ``ragvis eval --json`` wrote.

    Raises:
        UsageError: it is something else.
    """
    hint = "Give two files made by: ragvis eval FILE --json > A.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        if all(isinstance(row["values"], dict) and "id" in row for row in found["rows"]):
            return dict(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is not an evaluation: {error}", hint) from error
    raise UsageError(f"{file} is not an evaluation", hint)


def _short(value: float) -> float:
    return round(value, 4)
