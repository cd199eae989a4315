"""The steps of a run of ``index``: what is there is read, and then what is gone is dropped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ragvis.documents.unread import by_count
from ragvis.errors import FilesGone, UsageError
from ragvis.index.plan import Plan, plan
from ragvis.index.vanished import Vanished
from ragvis.index.walk import Paths, Walk, ancestors, is_under, roots_of
from ragvis.store.catalog import Catalog
from ragvis.store.file_table import UnreadRow
from ragvis.store.places import is_bare, is_gone
from ragvis.store.rows import FileRow


def plan_for(paths: Paths, index: Path, known: dict[str, FileRow]) -> Plan:
    """What is to be done for these paths, found out by stat alone.

    Args:
        index: the index's own folder, which is left out.
        known: what the index holds, by path.

    Raises:
        UsageError: a path that is neither there nor in the index.
    """
    walk = Walk.of(paths, index)
    folders = {os.path.dirname(path) for path in (known if walk.missing else ())}
    places = {place for folder in folders for place in ancestors(folder)}
    for root in walk.missing:
        if root not in places and root not in known:
            raise UsageError(f"no such file or folder: {root}", "Check the spelling.")
    return plan(walk, known)


def drop_gone(
    writer: Catalog, work: Plan, moved: Collection[str], contents: Collection[str], prune: bool
) -> Vanished:
    """Forget what is gone, and count anew what is not read.

    Args:
        moved: paths that were found again elsewhere, and are forgotten already.
        contents: sha256 of the files that were read.
        prune: drop also what looks as if its drive were missing.

    Returns:
        What was kept for that.
    """
    kept = Vanished() if prune else work.kept(moved, contents)
    gone = [p for p in work.gone if p not in moved and p not in kept.paths]
    work.report.gone, work.report.removed = len(kept.paths), len(gone)
    old, new = _unread_anew(writer.unread(), work.walk, kept)
    if gone or work.respelled or old or new:
        with writer.commit():
            writer.remove(gone)
            for found in work.respelled:
                writer.respell(found.path, found.shown)
            writer.change_unread(old, new)
    return kept


def _unread_anew(
    before: set[UnreadRow], walk: Walk, kept: Vanished
) -> tuple[set[UnreadRow], set[UnreadRow]]:
    """Rows that hold no more, and those that do now."""
    now = {(f, suffix, n) for f, kinds in walk.unread.items() for suffix, n in kinds.items()}
    covered = {folder: walk.covers_folder(folder) for folder, _, _ in before}
    for folder in covered:
        covered[folder] &= not any(is_under(folder, place) for place in kept.places)
    return {row for row in before - now if covered[row[0]]}, now - before


def unread_there(rows: Iterable[UnreadRow]) -> dict[str, int]:
    """Files of kinds that no reader reads, by suffix, in the folders that still hold something;
    largest counts first."""
    rows = list(rows)
    bare = {folder for folder in {row[0] for row in rows} if is_bare(folder)}
    found = Counter[str]()
    for folder, suffix, count in rows:
        found[suffix] += 0 if folder in bare else count
    return by_count(+found)


def question(kept: Vanished, report: object) -> FilesGone:
    """What is raised where files were kept that may have to go."""
    places = ", ".join(kept.places[:3]) + (", …" if len(kept.places) > 3 else "")
    gone = f"{len(kept.paths)} of the" if len(kept.paths) < kept.known else "all"
    what = f"{gone} {kept.known} files" if kept.known > 1 else "the only file"
    return FilesGone(
        f"{what} that the index knows in {places} {'are' if kept.known > 1 else 'is'} gone",
        "They were kept. Is a drive not mounted? To forget them, give --prune (prune=True).",
        report,
    )


def gone_files(known: Mapping[str, FileRow], paths: Paths | None = None) -> list[str]:
    """Those files, under the given paths or anywhere, that are not there any more."""
    walk = None if paths is None else Walk(roots=roots_of(paths))
    return [p for p in known if (walk is None or walk.covers(p)) and is_gone(p)]
