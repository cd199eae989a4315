"""The 8-bit codes of inverted files, and how much of the truth a shortlist by them holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Stored = NDArray[np.float16]
    Ids = NDArray[np.int64]

CHUNK = 65_536  # rows made float32 at a time
_CODE = 127  # the greatest code
_SHORTLIST, _SPARE = 1.25, 16  # exact cosines are taken of 1.25 k + 16 candidates
_SAME = 1e-5  # cosines that differ by less are equal


def ranges(rows: Stored) -> tuple[Vectors, Vectors]:
    """How a dimension's values become whole numbers of -127 to 127: what is taken off, and what
    the rest is multiplied by; (dim,) each, of rows (n, dim).

    FAISS compares whole numbers twice as fast as codes that it has to scale back one by one. The
    query is scaled instead, by the inverse; what was taken off is the same for all rows.
    """
    low, high = (np.full(rows.shape[1], sign * np.inf, np.float32) for sign in (1, -1))
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        low, high = np.minimum(low, some.min(axis=0)), np.maximum(high, some.max(axis=0))
    middles: Vectors = np.float32(0.5) * (low + high)
    factors: Vectors = np.float32(2 * _CODE) / np.maximum(high - low, np.float32(1e-6))
    return middles, factors


def encoded(rows: Vectors, middles: Vectors, factors: Vectors) -> Vectors:
    """Rows (n, dim) as whole numbers: FAISS would cut fractions off."""
    return np.ascontiguousarray(np.rint((rows - middles) * factors), np.float32)


def asked(queries: Vectors, factors: Vectors) -> Vectors:
    """Queries (q, dim) of rows so encoded: whole numbers too, as FAISS reads no others."""
    scaled = queries / factors
    most = np.abs(scaled).max(axis=1, keepdims=True)  # (q, 1)
    codes: Vectors = np.rint(scaled * (_CODE / np.maximum(most, np.float32(1e-30))))
    return codes


def shortlist(k: int) -> int:
    """How many candidates are compared exactly for the k best of them."""
    return int(_SHORTLIST * k) + _SPARE


def tenth_best(rows: Stored, queries: Vectors) -> Vectors:
    """The score of the tenth best row, or the last of fewer, for each query, by comparing all:
    (q,)."""
    k = min(10, len(rows))
    best = np.full((len(queries), k), -np.inf, np.float32)
    for start in range(0, len(rows), CHUNK):
        scores = queries @ rows[start : start + CHUNK].astype(np.float32).T
        both = np.concatenate([best, scores], axis=1)
        best = np.partition(both, both.shape[1] - k, axis=1)[:, -k:]
    least: Vectors = best.min(axis=1)
    return least


def recall(rows: Stored, queries: Vectors, found: Ids, tenth: Vectors) -> float:
    """How many of the ten best are among shortlists (q, k) of places, -1 for none, where equals
    count for one another; ``tenth`` is of ``tenth_best``."""
    shares = []
    for query, places, least in zip(queries, found, tenth, strict=True):
        scores = rows[places[places >= 0]].astype(np.float32) @ query  # (k,)
        shares.append(min(10, int((scores >= least - _SAME).sum())) / min(10, len(rows)))
    return float(np.mean(shares))
