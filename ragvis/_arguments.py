"""What callers hand in, taken as it is meant or refused in our words."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ragvis.errors import UsageError

_SINGLE: tuple[type, ...] = (str, bytes, bytearray, memoryview, os.PathLike)


def as_list(given: Any) -> list[Any]:
    """One thing or several: a text, a path, bytes or an open file are one, not their letters or
    lines."""
    is_one = isinstance(given, _SINGLE) or hasattr(given, "read")
    return [given] if is_one or not isinstance(given, Iterable) else list(given)


def require_text(given: object, what: str) -> str:
    """``given``, which is called ``what``.

    Raises:
        UsageError: it is no text, or blank.
    """
    if not isinstance(given, str):
        raise UsageError(f"the {what} is no text: {type(given).__name__}", "Give it in words.")
    if not given.strip():
        raise UsageError(f"the {what} is empty", "Give it in words.")
    return given
