"""What has to be done to bring the catalog up to the files, found out by stat alone."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ragvis.documents import kind_of
from ragvis.documents.unread import by_count
from ragvis.index.vanished import Vanished, vanished
from ragvis.index.walk import Found, Walk, ancestors
from ragvis.store.places import is_gone
from ragvis.store.rows import FileRow, content_key

_NUMBERS = (
    *("added", "changed", "moved", "copies", "unchanged", "removed", "gone"),
    *("passages", "images"),
)
_LINK = "it is a symbolic link: index it as a path of its own"
Stat = tuple[int, int, int]  # inode, size, time of the last change


@dataclass(slots=True)
class IndexReport:
    """What one run of ``index`` did, in files where nothing else is said."""

    added: int = 0
    changed: int = 0
    moved: int = 0  # under a new path, with the content of one that is gone
    copies: int = 0  # of those added or changed: hold what another file holds, too
    unchanged: int = 0
    removed: int = 0
    gone: int = 0  # are not there any more, and were kept: see ``Index.add``
    passages: int = 0  # that went into the index
    images: int = 0
    bad: dict[str, str] = field(default_factory=dict)  # file as given -> why it was not read
    unread: dict[str, int] = field(default_factory=dict)  # suffix that no reader knows -> files
    # "hidden", "links" or "special" -> how many were not looked into; "empty" folders
    left_out: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``ragvis index --json``."""
        numbers = {k: getattr(self, k) for k in _NUMBERS}
        bad = [{"path": p, "reason": r} for p, r in self.bad.items()]
        return {**numbers, "bad": bad, "unread": self.unread, "left_out": self.left_out}


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done.

    Attributes:
        walk: what is there.
        known: what the catalog holds, by path.
        to_read: files that are new or have changed.
        gone: paths that the catalog holds, and that are not there any more.
        respelled: unchanged files that were given under another spelling.
        report: filled as the work goes on.
    """

    walk: Walk
    known: dict[str, FileRow]
    to_read: tuple[Found, ...]
    gone: tuple[str, ...]
    respelled: tuple[Found, ...]
    report: IndexReport

    def kept(self, moved: Collection[str], contents: Collection[str]) -> Vanished:
        """The files that are gone and shall be kept until somebody says otherwise.

        Args:
            moved: paths that were found again elsewhere.
            contents: sha256 of the files that were read just now.
        """
        if not self.gone:
            return Vanished()
        read = {found.path for found in self.to_read}
        there = (self.known[p] for p in self.walk.found if p in self.known and p not in read)
        held = {row.sha256 for row in there if row.error is None} | set(contents)
        lost = [p for p in self.gone if p not in moved and self.known[p].sha256 not in held]
        return vanished(self.walk, self.known, lost)

    def preview(self, prune: bool = False) -> IndexReport:
        """What it would come to, as far as size and time tell."""
        moved = self._seem_moved()
        kept = Vanished() if prune else self.kept(moved, ())
        report = self.report
        report.moved = len(moved)
        report.changed = sum(found.path in self.known for found in self.to_read)
        report.added = len(self.to_read) - report.changed - report.moved
        report.gone = len(kept.paths)
        report.removed = sum(p not in moved and p not in kept.paths for p in self.gone)
        return report

    def _seem_moved(self) -> set[str]:
        """Old paths of what looks like a new file."""
        new = {_stat_of(f.stat) for f in self.to_read if f.path not in self.known}
        rows = {
            (row.inode, row.size, row.mtime_ns): path
            for path, row in (self.known.items() if new else ())
            if path not in self.walk.found
        }
        old = (rows[stat] for stat in new if stat in rows)
        return {path for path in old if self.walk.covers(path) or is_gone(path)}


def content_of(path: str, sha256: str) -> str:
    """The key of the document that a file of these bytes holds."""
    return content_key(sha256, kind_of(path) or "")


def plan(walk: Walk, known: dict[str, FileRow]) -> Plan:
    """Compare a walk with the catalog: same size, mtime and inode means unchanged."""
    report = IndexReport(unread=by_count(walk.kinds()))
    to_read, respelled = [], []
    for path, found in walk.found.items():
        row = known.get(path)
        # A row without a hash could not even be opened: that may be over by now.
        if row is None or not row.sha256 or _stat_of(found.stat) != _stat_then(row):
            to_read.append(found)
            continue
        if row.error:
            report.bad[found.shown] = row.error
        else:
            report.unchanged += 1
        if row.shown != found.shown:
            respelled.append(found)
    unseen = [p for p in known if p not in walk.found]
    report.bad |= walk.troubles | dict.fromkeys(_links_over(unseen, walk), _LINK)
    report.left_out = {what: n for what, n in walk.left_out.items() if n}
    if walk.empty:
        report.left_out["empty"] = len(walk.empty)
    gone = tuple(p for p in unseen if walk.covers(p))
    return Plan(walk, known, tuple(to_read), gone, tuple(respelled), report)


def _links_over(paths: list[str], walk: Walk) -> set[str]:
    """Links in the place of folders that held known files."""
    if not walk.links:
        return set()
    folders = {os.path.dirname(path) for path in paths}
    return {a for folder in folders for a in ancestors(folder) if a in walk.links}


def _stat_of(about: os.stat_result) -> Stat:
    return about.st_ino, about.st_size, about.st_mtime_ns


def _stat_then(row: FileRow) -> Stat:
    return row.inode, row.size, row.mtime_ns
