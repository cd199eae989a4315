"""What the scripts that measure on the eval set share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ragvis import Hit, Index
from ragvis.evaluation import Measure, Question
from ragvis.evaluation.run import finding

EVALSET = Path(__file__).resolve().parents[2] / "tests" / "evalset"
HALVES = ("tune", "test")
SHOWN = ("mrr", "ndcg@10", "recall@5", "text.recall@5", "image.recall@5", "starvation_gap@5")
Values = dict[str, dict[str, list[float]]]  # by system and measure


@contextmanager
def opened(folder: str | None) -> Iterator[Index]:
    """An index of the collection: the one in a folder, or a new one with pocket."""
    with tempfile.TemporaryDirectory() as made:
        index = Index.open(folder) if folder else Index.create(Path(made) / "index", "pocket")
        with index:
            if not folder:
                index.add([EVALSET / "collection"])
            yield index


def measured(question: Question, hits: Sequence[Hit], images: Sequence[Hit]) -> dict[str, float]:
    """The measures of one question that are shown, from its mixed and its pictures-only hits."""
    found = finding(question, hits[:10], lambda: images)
    return {name: found[name] for name in SHOWN if name in found}


def show(half: str, values: Values) -> None:
    """One table, with 95 % intervals."""
    names = list(next(iter(values.values())))
    print(f"\n{half:12}" + "".join(f"{name:>22}" for name in names))
    for system, own in values.items():
        cells = (Measure.of(own[name]) for name in names)
        shown = (f"{c.value:8.3f} ({c.low:+.2f} {c.high:+.2f})" for c in cells)
        print(f"{system:12}" + "".join(shown))
