"""Relevant files that an index lacks: whatever is asked of them can only be missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragvis.evaluation.questions import Question, Target

if TYPE_CHECKING:
    from ragvis.store.rows import FileRow


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A relevant file that no search can find.

    Attributes:
        path: as the questions have it.
        reason: why it could not be read; "" where the index does not know it.
        questions: ids of the questions that want it.
    """

    path: str
    reason: str
    questions: tuple[str, ...]


def missing_files(files: Iterable[FileRow], questions: Sequence[Question]) -> list[MissingFile]:
    """The files that questions want and the index does not hold, in the questions' order."""
    by_name: dict[str, list[FileRow]] = {}
    for row in files:
        for path in {row.path, row.shown}:
            by_name.setdefault(_name(path), []).append(row)
    wanted: dict[str, list[str]] = {}
    for question in questions:
        for path in dict.fromkeys(target.path for target in question.relevant):
            wanted.setdefault(path, []).append(question.id)
    found = {path: _named(path, by_name.get(_name(path), ())) for path in wanted}
    return [
        MissingFile(path, next((row.error or "" for row in found[path]), ""), tuple(ids))
        for path, ids in wanted.items()
        if all(row.error for row in found[path])
    ]


def _named(path: str, rows: Iterable[FileRow]) -> list[FileRow]:
    target = Target(path)
    return [row for row in rows if target.names(row.path) or target.names(row.shown)]


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
