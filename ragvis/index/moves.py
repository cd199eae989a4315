"""Known files that are not where they were: found again under another path, or gone."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ragvis.documents import kind_of
from ragvis.index.walk import Found, Walk
from ragvis.store.places import is_gone
from ragvis.store.rows import FileRow


class Moves:
    """Tells which new file is an old one under another path.

    The old path need not lie under the paths that are indexed: who renames a folder indexes it
    under its new name.

    Args:
        walk: what was found.
        known: what the catalog holds, by path.
    """

    def __init__(self, walk: Walk, known: Mapping[str, FileRow]) -> None:
        self._walk = walk
        self._rows: dict[str, list[FileRow]] = {}  # not found, by the sha256 of their content
        for row in known.values():
            if row.sha256 and row.path not in walk.found:
                self._rows.setdefault(row.sha256, []).append(row)

    def claim(self, found: Found, sha256: str) -> str | None:
        """The old path of a new file of this content, or None; each is given once."""
        rows = self._rows.get(sha256, [])
        while rows:
            row = rows.pop()
            if kind_of(row.path) == kind_of(found.path) and self._has_left(row.path, found):
                return row.path
        return None

    def _has_left(self, path: str, found: Found) -> bool:
        return self._walk.covers(path) or is_gone(path) or _is_same_file(path, found)


def _is_same_file(path: str, found: Found) -> bool:
    """Whether two paths are spellings of one: by a linked folder, or in another case."""
    try:
        about = os.stat(path)
    except OSError:
        return False
    one_name = about.st_nlink == 1 or os.path.realpath(path) == os.path.realpath(found.path)
    return os.path.samestat(about, found.stat) and one_name
