"""Files that are gone with the folders around them: deleted, or on a drive that is not mounted?

Nobody can tell by looking: the folder that a drive is mounted on stays behind, and is empty.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ragvis.index.walk import Walk, ancestors
from ragvis.store.places import is_bare

_LEAST = 10  # files that have to go from one folder at once before that is asked about
_REMAINS = 10  # a folder that has less than one in so many of its files left counts as empty


@dataclass(frozen=True, slots=True)
class Vanished:
    """Files that are kept until somebody says that they may go.

    Attributes:
        paths: of the files.
        places: the folders that held them.
        known: how many files of the index those held.
    """

    paths: frozenset[str] = frozenset()
    places: tuple[str, ...] = ()
    known: int = 0


def vanished(walk: Walk, known: Collection[str], lost: Collection[str]) -> Vanished:
    """Those files that look as if their drive were missing: more than half of the index at once,
    or of what is known in one folder.

    Only files count whose folder is gone or empty: deleting some files of a folder is not asked
    about, nor is replacing them by as many others.

    Args:
        walk: what was found.
        known: paths that the index holds.
        lost: those of them that are gone, and whose content is nowhere else.
    """
    if not lost:
        return Vanished()
    had, left = _below(known), _below(walk.found)
    for folder, kinds in walk.unread.items():
        _add(left, folder, kinds.total())
    swept = [path for path in lost if _is_swept(path, walk, had, left)]
    gone = _below(swept)
    most = 2 * len(swept) > len(known)
    emptied = (p for p in _places(walk, known) if gone[p] and had[p] > 2 * left[p])
    places = {p for p in emptied if most or (gone[p] >= _LEAST and 2 * gone[p] > had[p])}
    outer = sorted(p for p in places if places.isdisjoint(ancestors(os.path.dirname(p))))
    kept = frozenset(path for path in swept if not places.isdisjoint(ancestors(path)))
    return Vanished(kept, tuple(outer), sum(had[place] for place in outer))


def _places(walk: Walk, known: Collection[str]) -> set[str]:
    """What can be missing as a whole: given folders, those of given files, and empty ones."""
    folders = (os.path.dirname(root) if root in known else root for root in walk.roots)
    return {*folders, *walk.empty}


def _is_swept(path: str, walk: Walk, had: Counter[str], left: Counter[str]) -> bool:
    """Whether a file went together with its folder's others."""
    folder = os.path.dirname(path)
    if path in walk.roots:  # its folder was not looked into
        return is_bare(folder)
    return had[folder] > _REMAINS * left[folder]


def _below(paths: Iterable[str]) -> Counter[str]:
    """How many files there are in each folder and those below it."""
    counts = Counter[str]()
    for folder, count in Counter(map(os.path.dirname, paths)).items():
        _add(counts, folder, count)
    return counts


def _add(counts: Counter[str], folder: str, count: int) -> None:
    for above in ancestors(folder):
        counts[above] += count
