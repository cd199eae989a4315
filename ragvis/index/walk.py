"""Finding the files under the given paths, and nothing that is not one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ragvis._arguments import checked_paths
from ragvis.documents import SUFFIXES
from ragvis.documents.model import storable
from ragvis.errors import UsageError

Paths = str | Path | Iterable[str | Path]  # one, or several


@dataclass(frozen=True, slots=True)
class Found:
    """A supported file: absolute path, spelling as given, and its stat."""

    path: str
    shown: str
    stat: os.stat_result


@dataclass(slots=True)
class Walk:
    """Everything under the given paths.

    Symbolic links, hidden names and special files are not followed or opened; a link that is
    itself given as a path is.
    """

    found: dict[str, Found] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)  # path -> why it was not read
    missing: list[str] = field(default_factory=list)  # given paths that are not there
    roots: list[str] = field(default_factory=list)  # absolute

    @classmethod
    def of(cls, paths: Paths, skip: Path) -> Walk:
        """Walk ``paths``; the folder ``skip`` (the index itself) is left out."""
        walk = cls()
        for shown in checked_paths(paths):
            root = absolute(shown)
            walk.roots.append(root)
            walk._visit_root(root, shown, os.path.abspath(skip))
        return walk

    def covers(self, path: str) -> bool:
        """Whether a known file lies under the given paths, in a part that could be read."""
        under = any(is_under(path, root) for root in self.roots)
        return under and not any(is_under(path, t) for t in self.troubles)

    def _visit_root(self, root: str, shown: str, skip: str) -> None:
        try:
            about = os.stat(root)
        except FileNotFoundError:
            self.missing.append(root)
        except (OSError, ValueError) as error:
            self.troubles[root] = _reason(error)
        else:
            if stat.S_ISDIR(about.st_mode):
                self._visit_folder(root, shown, skip)
            elif stat.S_ISREG(about.st_mode):
                self._take(root, shown, about)
            else:
                self.troubles[root] = "not a regular file"

    def _visit_folder(self, root: str, shown: str, skip: str) -> None:
        """An explicit stack: folders nest deeper than Python recurses."""
        stack = [(root, shown)]
        while stack:
            folder, as_given = stack.pop()
            if folder == skip:
                continue
            try:
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda e: e.name)
            except OSError as error:
                self.troubles[folder] = _reason(error)
                continue
            for entry in listed:
                self._visit_entry(entry, os.path.join(as_given, entry.name), stack)

    def _visit_entry(
        self, entry: os.DirEntry[str], shown: str, stack: list[tuple[str, str]]
    ) -> None:
        if entry.name.startswith(".") or entry.is_symlink():
            return
        try:
            if entry.is_dir(follow_symlinks=False):
                stack.append((entry.path, shown))
            elif entry.is_file(follow_symlinks=False) and _suffix(entry.name) in SUFFIXES:
                # On Windows a DirEntry's stat lacks the inode
                about = os.stat(entry.path) if os.name == "nt" else entry.stat()
                self._take(entry.path, shown, about)
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


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


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


def is_under(path: str, root: str) -> bool:
    """Whether a path is the root or lies below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
