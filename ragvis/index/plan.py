"""What has to be done to bring the catalog up to the files, found out by stat alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ragvis.documents import kind_of
from ragvis.index.walk import Found, Walk
from ragvis.store.rows import FileRow, content_key

_NUMBERS = ("added", "changed", "moved", "unchanged", "removed", "passages", "images")


@dataclass(slots=True)
class IndexReport:
    """What one run of ``index`` did."""

    added: int = 0
    changed: int = 0
    moved: int = 0  # under a new path, with the content of one that is gone
    unchanged: int = 0
    removed: int = 0
    passages: int = 0  # read in this run
    images: int = 0
    bad: dict[str, str] = field(default_factory=dict)  # file as given -> why it was not read

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``ragvis index --json``."""
        numbers = {k: getattr(self, k) for k in _NUMBERS}
        return {**numbers, "bad": [{"path": p, "reason": r} for p, r in self.bad.items()]}


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done."""

    to_read: tuple[Found, ...]
    to_remove: tuple[str, ...]
    respelled: tuple[Found, ...]  # unchanged files that were given under another spelling
    report: IndexReport

    def preview(self, known: dict[str, FileRow]) -> IndexReport:
        """What it would come to, as far as size and time tell."""
        self.report.changed = sum(found.path in known for found in self.to_read)
        self.report.added = len(self.to_read) - self.report.changed
        return self.report


def content_of(path: str, sha256: str) -> str:
    """The key of the document that a file of these bytes holds."""
    return content_key(sha256, kind_of(path) or "")


def plan(walk: Walk, known: dict[str, FileRow]) -> Plan:
    """Compare a walk with the catalog: same size, mtime and inode means unchanged."""
    report = IndexReport()
    to_read, respelled = [], []
    for path, found in walk.found.items():
        row = known.get(path)
        # A row without a hash could not even be opened: that may be over by now.
        if row is None or not row.sha256 or not _same_stat(row, found.stat):
            to_read.append(found)
            continue
        if row.error:
            report.bad[found.shown] = row.error
        else:
            report.unchanged += 1
        if row.shown != found.shown:
            respelled.append(found)
    gone = [p for p in known if p not in walk.found and walk.covers(p)]
    report.removed = len(gone)
    report.bad |= walk.troubles
    return Plan(tuple(to_read), tuple(gone), tuple(respelled), report)


def _same_stat(row: FileRow, about: os.stat_result) -> bool:
    return (
        row.mtime_ns == about.st_mtime_ns
        and row.size == about.st_size
        and row.inode == about.st_ino
    )
