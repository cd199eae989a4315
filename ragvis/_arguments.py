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


def require_part(given: object, what: str, attribute: str, hint: str) -> None:
    """A part of ragvis, known by an attribute: a stand-in of another class will do.

    Raises:
        UsageError: it is something else.
    """
    if not hasattr(given, attribute):
        raise UsageError(f"{type(given).__name__} is no {what}", hint)


def require_many(given: object, what: str, instead: str) -> None:
    """Raises:
    UsageError: ``given`` is one text, which would be taken for its letters.
    """
    if isinstance(given, str):
        raise UsageError(f"one {what} is not many", f"Use {instead}(), or give a list.")


def checked_paths(paths: Any) -> list[str]:
    """One path or several, as they were given.

    Raises:
        UsageError: an empty one, which would stand for the current folder; or no path.
    """
    given = as_list(paths)
    for other in (one for one in given if not isinstance(one, str | os.PathLike)):
        raise UsageError(f"no path: {type(other).__name__}", "Give a text or a pathlib.Path.")
    given = [os.fspath(path) for path in given]
    if "" in given:
        raise UsageError("a path is empty", "The current folder is '.'.")
    return given


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
