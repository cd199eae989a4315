"""What cosines mean on this very index: centres of each modality, and what unrelated queries reach.

CLIP's texts and pictures lie in two narrow cones with a gap between them. Taking each cone's mean
off its vectors closes most of it (GR-CLIP, arXiv 2507.19054). Even then a cosine means nothing by
itself: it depends on the encoder, the kind of query and what is in the index. So every index
stores, per kind of query and modality, how high the best item scores for queries that have nothing
to do with it; a score is told in spreads above that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ragvis.types import MODALITIES, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.store.vector_index import VectorIndex

    Vectors = NDArray[np.float32]

QueryKind = Literal["text", "image"]
KINDS: tuple[QueryKind, ...] = ("text", "image")
SAMPLES = 2048  # items of a modality that its centre is taken of
PICTURES = 256  # indexed pictures that stand for picture queries
_MIN_SPREAD = 0.02  # of a cosine; a tiny index has no spread to measure
_SHRINK = 16  # items that a centre is worth nothing without: few items are not a cone
_NEAR = 32  # candidates among which an unrelated query's best is looked for


@dataclass(frozen=True, slots=True)
class Floor:
    """Best centred cosine of an unrelated query: median, and spread as a standard deviation."""

    median: float
    spread: float

    def above(self, cosine: Any) -> Any:
        """Spreads above the median; of numbers or arrays."""
        return (cosine - self.median) / max(self.spread, _MIN_SPREAD)


_NO_FLOOR = Floor(0.25, 0.1)  # where there is nothing to measure on


@dataclass(frozen=True, slots=True)
class Calibration:
    """Centres (dim,) by name, and floors by ``kind>modality``."""

    centres: Mapping[str, Vectors] = field(default_factory=dict)
    floors: Mapping[str, Floor] = field(default_factory=dict)

    def query(self, kind: QueryKind, rows: Vectors) -> Vectors:
        """Queries (q, dim) less their kind's centre, unit rows."""
        return unit(rows - self.centres.get(f"{kind}?", np.float32(0)))

    def cosines(self, modality: Modality, rows: Vectors, query: Vectors) -> Vectors:
        """Centred cosines (n,) of items (n, dim) with a query (dim,) from ``query``."""
        found: Vectors = unit(rows - self.centres.get(modality, np.float32(0))) @ query
        return found

    def floor(self, kind: QueryKind, modality: Modality) -> Floor:
        """What unrelated queries of a kind reach in a modality."""
        return self.floors.get(f"{kind}>{modality}", _NO_FLOOR)

    def to_json(self) -> str:
        """For the catalog."""
        centres = {k: v.astype("<f4").tobytes().hex() for k, v in self.centres.items()}
        floors = {k: [f.median, f.spread] for k, f in self.floors.items()}
        return json.dumps({"centres": centres, "floors": floors})

    @classmethod
    def parse(cls, text: str | None) -> Calibration:
        """What ``to_json`` wrote; nothing is measured yet where that is None."""
        if text is None:
            return cls()
        found = json.loads(text)
        centres = {k: np.frombuffer(bytes.fromhex(v), "<f4") for k, v in found["centres"].items()}
        return cls(centres, {k: Floor(*v) for k, v in found["floors"].items()})


def centred(texts: Vectors, samples: Mapping[Modality, Vectors]) -> Calibration:
    """The centres alone.

    Args:
        texts: (n, dim) vectors of the unrelated queries.
        samples: (m, dim) vectors of items from all over each modality.
    """
    queries = {"text?": _centre(texts), "image?": _centre(samples["image"])}
    return Calibration(queries | {m: _centre(rows) for m, rows in samples.items()})


def measure(
    bare: Calibration, texts: Vectors, pictures: Vectors, indexes: Mapping[Modality, VectorIndex]
) -> Calibration:
    """The floors too.

    Args:
        bare: what ``centred`` gave.
        texts: as there.
        pictures: (m, dim) vectors of indexed pictures, which stand for picture queries.
        indexes: what is searched.
    """
    queries = {"text": texts, "image": pictures[:: max(1, len(pictures) // PICTURES)]}
    floors = {
        f"{kind}>{modality}": _floor(bare, kind, queries[kind], modality, indexes[modality])
        for kind in KINDS
        for modality in MODALITIES
        if len(queries[kind]) and len(indexes[modality]) > (kind == modality == "image")
    }
    return Calibration(bare.centres, floors)


def _centre(rows: Vectors) -> Vectors:
    """The rows' mean, drawn towards nothing where they are few: (dim,)."""
    centre: Vectors = rows.sum(axis=0) / np.float32(len(rows) + _SHRINK)
    return centre


def _floor(
    bare: Calibration, kind: QueryKind, rows: Vectors, modality: Modality, index: VectorIndex
) -> Floor:
    """An indexed picture finds itself first, and its true neighbours next: its unrelated best is
    taken as the median of what else is there."""
    queries = bare.query(kind, rows)
    _, near = index.search(queries, _NEAR)  # (q, k)
    best = np.empty(len(queries), np.float32)
    for i, (query, ids) in enumerate(zip(queries, near, strict=True)):
        if not (ids >= 0).any():  # an approximate search may come back with nothing
            best[i] = 0.0
            continue
        scores = np.sort(bare.cosines(modality, index.rows(ids[ids >= 0]), query))[::-1]
        others = scores[1:16] if kind == modality == "image" else scores[:1]
        best[i] = np.median(others) if len(others) else 0.0
    median = float(np.median(best))
    spread = float(1.4826 * np.median(np.abs(best - median)))
    return Floor(round(median, 5), round(spread, 5))


def unit(rows: Vectors) -> Vectors:
    """Rows, or one vector, at length 1."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.maximum(norms, 1e-9)).astype(np.float32)
    return scaled
