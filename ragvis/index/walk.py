"""Finding the files under the given paths, and counting what is left out there."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ragvis._arguments import checked_paths
from ragvis.documents import SUFFIXES
from ragvis.documents.model import storable
from ragvis.documents.unread import unread_suffix
from ragvis.errors import UsageError

Paths = str | Path | Iterable[str | Path]  # one, or several


@dataclass(frozen=True, slots=True)
class Found:
    """A supported file: absolute path, spelling as given, and its stat."""

    path: str
    shown: str
    stat: os.stat_result


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to be listed: absolute path, spelling as given, and path without links."""

    path: str
    shown: str
    real: str

    def below(self, name: str) -> _Folder:
        return _Folder(*(os.path.join(p, name) for p in (self.path, self.shown, self.real)))


@dataclass(slots=True)
class Walk:
    """Everything under the given paths.

    Symbolic links, hidden names and special files are counted and neither followed nor opened; a
    link that is itself given as a path is followed. A folder that is given twice, in whatever
    spelling, counts once.
    """

    found: dict[str, Found] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)  # path -> why it was not read
    missing: list[str] = field(default_factory=list)  # given paths that are not there
    roots: dict[str, str] = field(default_factory=dict)  # absolute -> as given
    links: set[str] = field(default_factory=set)  # symbolic links, absolute
    empty: list[str] = field(default_factory=list)  # folders with nothing in them, absolute
    unread: dict[str, Counter[str]] = field(default_factory=dict)  # folder -> suffix -> files
    left_out: Counter[str] = field(default_factory=Counter)  # what it is -> how many
    _own: str = ""  # the index's folder, without links
    _listed: set[str] = field(default_factory=set)  # folders, without links
    _closed: set[str] = field(default_factory=set)  # folders that were not looked into on purpose
    _covered: dict[str, bool] = field(default_factory=dict)  # what was found out, by folder

    @classmethod
    def of(cls, paths: Paths, skip: Path) -> Walk:
        """Walk ``paths``; the folder ``skip`` (the index itself) is left out."""
        walk = cls(_own=os.path.realpath(skip))
        walk.roots = roots_of(paths)
        for root, shown in walk.roots.items():
            walk._visit_root(root, shown)
        followed = walk.links & walk.roots.keys()
        walk.links -= followed
        walk.left_out["links"] -= len(followed)
        return walk

    def covers(self, path: str) -> bool:
        """Whether a known file lies under the given paths, in a part that could be read."""
        under = path in self.roots or self.covers_folder(os.path.dirname(path))
        return under and path not in self.troubles

    def covers_folder(self, folder: str) -> bool:
        """Whether a folder lies under the given paths, in a part that could be read."""
        if folder not in self._covered:
            above = set(ancestors(folder))
            kept = (self.troubles.keys(), self.links, self._closed)
            under = not above.isdisjoint(self.roots)
            self._covered[folder] = under and all(above.isdisjoint(k) for k in kept)
        return self._covered[folder]

    def kinds(self) -> dict[str, int]:
        """Files of kinds that no reader reads, by suffix."""
        found = Counter[str]()
        for of_folder in self.unread.values():
            found.update(of_folder)
        return dict(found)

    def _visit_root(self, root: str, shown: str) -> None:
        try:
            about = os.stat(root)
        except FileNotFoundError:
            self.missing.append(root)
        except (OSError, ValueError) as error:
            self.troubles[root] = _reason(error)
        else:
            if stat.S_ISDIR(about.st_mode):
                self._visit_folder(_Folder(root, shown, os.path.realpath(root)))
            elif stat.S_ISREG(about.st_mode):
                self._take(root, shown, about)
            else:
                self.troubles[root] = "not a regular file"

    def _visit_folder(self, root: _Folder) -> None:
        """An explicit stack: folders nest deeper than Python recurses."""
        if root.real == self._own:
            self.troubles[root.path] = "it is the index's own folder"
        stack = [root]
        while stack:
            folder = stack.pop()
            if folder.real == self._own:
                self._closed.add(folder.path)
                continue
            is_new = folder.real not in self._listed
            self._listed.add(folder.real)
            for entry in self._entries(folder.path, is_new):
                self._visit_entry(entry, folder, stack, is_new)

    def _entries(self, folder: str, is_new: bool) -> list[os.DirEntry[str]]:
        """As many as the disk tells, by name."""
        listed: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as entries:
                listed.extend(entries)
        except OSError as error:
            self.troubles[folder] = _reason(error)
        else:
            if not listed and is_new:
                self.empty.append(folder)
        return sorted(listed, key=lambda e: e.name)

    def _visit_entry(
        self, entry: os.DirEntry[str], folder: _Folder, stack: list[_Folder], is_new: bool
    ) -> None:
        """``is_new``: the folder was not listed before under another spelling."""
        try:
            if what := _left_out(entry):
                self.left_out[what] += is_new
                if what == "links":
                    self.links.add(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                stack.append(folder.below(entry.name))
            elif _suffix(entry.name) in SUFFIXES:
                # On Windows a DirEntry's stat lacks the inode
                about = os.stat(entry.path) if os.name == "nt" else entry.stat()
                if is_new:
                    self._take(entry.path, os.path.join(folder.shown, entry.name), about)
            elif is_new:
                of_folder = self.unread.setdefault(_nameable(folder.path), Counter())
                of_folder[unread_suffix(entry.name)] += 1
        except FileNotFoundError:
            return  # vanished during the walk: as if it had gone before
        except OSError as error:
            self.troubles[entry.path] = _reason(error)

    def _take(self, path: str, shown: str, about: os.stat_result) -> None:
        try:
            path.encode()
        except UnicodeEncodeError:
            shown = path.encode(errors="backslashreplace").decode()
            self.troubles[shown] = "its name is not valid Unicode; rename it"
        else:
            self.found.setdefault(path, Found(path, shown, about))


def _left_out(entry: os.DirEntry[str]) -> str:
    """What an entry is that is left out whatever it holds, or ""."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_symlink():
        return "links"
    if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
        return ""
    return "special"


def _nameable(folder: str) -> str:
    """The folder, or the first above it, whose path is valid Unicode."""
    return next(path for path in ancestors(folder) if path == storable(path))


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def roots_of(paths: Paths) -> dict[str, str]:
    """The given paths: absolute -> as it was given, each once.

    Raises:
        UsageError: one is empty or no path, or none is given.
    """
    found: dict[str, str] = {}
    for shown in checked_paths(paths):
        found.setdefault(absolute(shown), shown)
    return found


def absolute(path: str) -> str:
    """A path without ``~``, ``.`` and ``..``; links in it stay."""
    return os.path.abspath(os.path.expanduser(path))


def index_folder(path: str | Path) -> Path:
    """An index's folder as it was given, without ``~``.

    Raises:
        UsageError: it is empty, several, or its name is not valid Unicode, as SQLite wants it.
    """
    given = checked_paths(path)
    if len(given) != 1:
        raise UsageError(f"an index is in one folder, not in {len(given)}", "Give one path.")
    if given[0] != storable(given[0]):
        raise UsageError(f"the folder {given[0]!r} has no valid name", "Rename it.")
    return Path(os.path.expanduser(given[0]))


def ancestors(path: str) -> Iterator[str]:
    """A path, its folder, the folder of that, and so on up to the root."""
    yield path
    while (above := os.path.dirname(path)) != path:
        yield (path := above)


def is_under(path: str, root: str) -> bool:
    """Whether a path is the root or lies below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
