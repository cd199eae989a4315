"""Going on as files change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import watchfiles

from ragvis._arguments import checked_paths
from ragvis.errors import FilesGone, IndexLocked, UsageError
from ragvis.index.walk import Paths, is_under
from ragvis.types import Tell

if TYPE_CHECKING:
    from ragvis.index.index import Index
    from ragvis.index.ingest import OnFile
    from ragvis.index.plan import IndexReport

_QUIET = 400  # milliseconds without a change before a batch of changes is taken
_WAKE = 500  # milliseconds between looks at whether another process still writes


def watch(
    index: Index, paths: Paths, on_file: OnFile | None, tell: Tell, prune: bool
) -> Iterator[IndexReport]:
    """Bring the index up to ``paths`` now and after every change to them, for ever; a report each
    time. While another process writes, it is waited for; files that are gone with their drive are
    told of and kept, unless they are to be dropped (``prune``).

    Raises:
        UsageError, StorageError: as ``Index.add``.
    """
    given = [os.path.expanduser(path) for path in checked_paths(paths)]
    for path in given:
        if not os.path.exists(path):
            raise UsageError(f"no such file or folder: {path}", "What is watched must be there.")
    pending = waiting = False
    for has_changed in _changes(given, os.path.realpath(index.path)):
        pending = pending or has_changed
        if not pending:
            continue
        try:
            report = index.add(given, on_file, prune=prune)
        except FilesGone as gone:
            tell(f"{gone}. {gone.hint}")
            report = gone.report
        except IndexLocked as locked:
            if not waiting:
                tell(f"{locked}; trying again")
            waiting = True
            continue
        pending = waiting = False
        yield report


def _changes(given: list[str], own: str) -> Iterator[bool]:
    """Whether anything may have changed outside of the index's own folder, twice a second."""
    while True:
        before = _stamps(given)
        is_first = True  # anything may have changed before the watching began
        for changes in watchfiles.watch(
            *(path for path in given if os.path.exists(path)),
            watch_filter=lambda _, path: not is_under(os.path.realpath(path), own),
            step=_QUIET,
            rust_timeout=_WAKE,
            yield_on_timeout=True,
            raise_interrupt=True,
        ):
            if _stamps(given) != before:
                # A drive came or went, or another folder was put in the place of a watched one:
                # what is there now is not watched yet.
                break
            yield bool(changes) or is_first
            is_first = False


def _stamps(paths: list[str]) -> list[tuple[int, int] | None]:
    """Which folder is at each path: device and inode."""
    found: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            about = os.stat(path)
            found.append((about.st_dev, about.st_ino))
        except OSError:
            found.append(None)
    return found
