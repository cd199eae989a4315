"""Where the indexed files are by now: an index and its files may have been moved together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from ragvis.store.rows import FileRow

_ENOUGH = 8  # files of one content that are known to be there: the order of the rest is nothing


class Places:
    """Finds files from an index that was moved.

    The catalog holds absolute paths. Where a file is not at its own, it is looked for as far from
    the index as it was: a drive is mounted elsewhere, or a project's folder was renamed.

    Args:
        then: the index's folder when the paths were written; None where that is not known.
        now: its folder today.
    """

    def __init__(self, then: str | None, now: str) -> None:
        is_here = then is None or os.path.realpath(then) == os.path.realpath(now)
        self._then = None if is_here else then
        self._now = now

    @property
    def are_other(self) -> bool:
        """Whether the index was moved."""
        return self._then is not None

    def of(self, path: str) -> str:
        """Where a file or folder is: at its own path, at the one it was moved to with the index,
        or, where it is at neither, at its own."""
        if self._then is None or os.path.exists(path):
            return path
        try:
            way = os.path.relpath(path, self._then)
        except ValueError:  # on another drive of Windows
            return path
        moved = os.path.abspath(os.path.join(self._now, way))
        return moved if os.path.exists(moved) else path

    def of_row(self, row: FileRow) -> FileRow:
        """The row with the path that the file has today; a spelling that began at the root
        follows it."""
        path = self.of(row.path)
        if path == row.path:
            return row
        return replace(row, path=path, shown=path if os.path.isabs(row.shown) else row.shown)

    def in_order(self, rows: Iterable[FileRow]) -> tuple[FileRow, ...]:
        """The files of one content: those that are there come first, and keep their order."""
        rows = tuple(self.of_row(row) for row in rows)
        if len(rows) == 1:
            return rows
        there: list[FileRow] = []
        gone: list[FileRow] = []
        for row in rows:
            is_there = len(there) >= _ENOUGH or os.path.exists(row.path)
            (there if is_there else gone).append(row)
        return (*there, *gone)


def is_bare(folder: str) -> bool:
    """Whether a folder is gone or has nothing in it; one that cannot be looked into is not bare."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def is_gone(path: str) -> bool:
    """Whether nothing is there any more; what only cannot be looked at is not gone."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False
