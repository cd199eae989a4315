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
    own = os.path.realpath(index.path)
    pending, waiting = True, False  # the first time, for what changed before the watching began
    for changes in watchfiles.watch(
        *given,
        watch_filter=lambda _, path: not is_under(os.path.realpath(path), own),
        step=_QUIET,
        rust_timeout=_WAKE,
        yield_on_timeout=True,
        raise_interrupt=True,
    ):
        pending = pending or bool(changes)
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
