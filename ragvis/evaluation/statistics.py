"""How sure a measure is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_RESAMPLES = 4000
_Z = 1.959964  # of a normal distribution, 95 % in the middle


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, 1927)."""
    share, z2 = successes / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of a mean: percentiles over resamples, always the same ones."""
    drawn = np.random.default_rng(0).choice(np.asarray(values, float), (_RESAMPLES, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Wilson's where every value is 0 or 1, else the bootstrap's."""
    if all(v in (0.0, 1.0) for v in values):
        return wilson(int(sum(values)), len(values))
    return bootstrap(values)


def paired(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean difference, its 95 % interval, and p of a two-sided paired randomisation test.

    Under the null hypothesis each question's two values may be exchanged: the signs of the
    differences are drawn anew, all of them for up to 12 that differ (Edgington, 1969).
    """
    change = np.asarray(after, float) - np.asarray(before, float)
    low, high = bootstrap(change.tolist())
    unequal = change[change != 0]
    if not len(unequal):
        return 0.0, low, high, 1.0
    if len(unequal) <= 12:
        signs = np.array(np.meshgrid(*[[-1, 1]] * len(unequal))).reshape(len(unequal), -1).T
        extreme = np.abs(signs @ unequal) >= abs(unequal.sum()) - 1e-9
        return float(change.mean()), low, high, float(extreme.mean())
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (20_000, len(unequal)))
    extreme = np.abs(signs @ unequal) >= abs(unequal.sum()) - 1e-9
    return float(change.mean()), low, high, float((extreme.sum() + 1) / (len(signs) + 1))
