"""Probabilities as odds, for weighing what a model judges."""

from __future__ import annotations

import math

_LEAST = 1e-4  # a probability nearer to 0 or 1 is not believed


def logit(p: float) -> float:
    """Log odds of a probability."""
    p = min(1 - _LEAST, max(_LEAST, p))
    return math.log(p / (1 - p))


def probability(odds: float) -> float:
    """Of log odds."""
    return 1.0 / (1.0 + math.exp(-odds))
