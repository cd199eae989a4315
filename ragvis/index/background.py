"""What unrelated queries score on this very index: the floor that scores are calibrated against.

A cosine means nothing by itself: it depends on the encoder, on the kind of query and on what is
in the index. So every index stores, per kind of query and modality, how high the best item
scores for queries that have nothing to do with it (median and spread over a fixed list).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ragvis.types import Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.store.vectors import VectorIndex

    Vectors = NDArray[np.float32]

QueryKind = Literal["text", "image"]
_MIN_SPREAD = 0.02  # of a cosine; a tiny index has no spread to measure
PICTURES = 256  # indexed pictures that stand for picture queries


@dataclass(frozen=True, slots=True)
class Floor:
    """Best cosine of an unrelated query: median, and spread as a standard deviation."""

    median: float
    spread: float

    def calibrate(self, cosine: float) -> float:
        """0..1; 0.5 where a cosine lies two spreads above what unrelated queries reach."""
        z = (cosine - self.median) / max(self.spread, _MIN_SPREAD)
        return 1.0 / (1.0 + math.exp(min(50.0, 2.0 - z)))


Background = dict[str, Floor]  # "text>image" = text query, image items
NO_FLOOR = Floor(0.3, 0.1)  # where there is nothing to measure on


def measure(texts: Vectors, pictures: Vectors, indexes: dict[Modality, VectorIndex]) -> str:
    """The background as JSON.

    Args:
        texts: (n, dim) vectors of the unrelated queries.
        pictures: (m, dim) vectors of some indexed pictures.
    """
    floors = {
        f"{kind}>{modality}": _floor(rows, index, skip_self=kind == modality == "image")
        for kind, rows in (("text", texts), ("image", pictures))
        for modality, index in indexes.items()
        if len(rows) and len(index) > (kind == modality == "image")
    }
    return json.dumps({k: [f.median, f.spread] for k, f in floors.items()})


def parse(text: str) -> Background:
    """What ``measure`` wrote."""
    return {k: Floor(*v) for k, v in json.loads(text).items()}


def _floor(queries: Vectors, index: VectorIndex, skip_self: bool) -> Floor:
    """An indexed picture finds itself first, and its true neighbours next: its unrelated best is
    taken as the median of what else is there."""
    scores, _ = index.search(queries, 16 if skip_self else 1)  # (q, k) float32
    best = np.median(scores[:, 1:], axis=1) if skip_self else scores[:, 0]
    median = float(np.median(best))
    spread = float(1.4826 * np.median(np.abs(best - median)))
    return Floor(round(median, 5), round(spread, 5))
