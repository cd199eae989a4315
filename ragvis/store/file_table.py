"""The catalog's tables of files: those that were read, and counts of those no reader reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ragvis.store.connection import select_in
from ragvis.store.places import Places
from ragvis.store.rows import FILE_COLUMNS, FileRow, Where, name_words

if TYPE_CHECKING:
    import apsw

UnreadRow = tuple[str, str, int]  # folder, suffix, files


def link(db: apsw.Connection, file: FileRow, document: int | None) -> None:
    """A path holds this document now; None where it could not be read."""
    values = (
        *(file.path, file.shown, file.size, file.mtime_ns, file.inode, file.sha256),
        *(file.label, file.error, document),
    )
    db.execute(
        f"INSERT INTO file({FILE_COLUMNS}, document_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(path) DO UPDATE SET shown = excluded.shown, size = excluded.size,"
        " mtime_ns = excluded.mtime_ns, inode = excluded.inode, sha256 = excluded.sha256,"
        " label = excluded.label, error = excluded.error, document_id = excluded.document_id",
        values,
    )


def settle(db: apsw.Connection, documents: Iterable[int]) -> None:
    """Drop the documents without a file; let the others' items say their files' names."""
    for number in documents:
        files = db.execute(
            "SELECT path, label FROM file WHERE document_id = ? ORDER BY id", (number,)
        ).fetchall()
        if not files:
            db.execute("DELETE FROM document WHERE id = ?", (number,))
            continue
        own = db.execute("SELECT title FROM document WHERE id = ?", (number,)).get
        said = (name_words([str(path) for path, _ in files]), own or files[0][1])
        db.execute(
            "UPDATE item SET name = ?, title = ? WHERE document_id = ? AND (name, title) != (?, ?)",
            (*said, number, *said),
        )


def holders(
    db: apsw.Connection, documents: Sequence[int], where: Where, places: Places
) -> dict[int, tuple[FileRow, ...]]:
    """The files of each document: those that are there first, of these those of a condition."""
    query = f"SELECT {where.sql} AS fits, document_id, {FILE_COLUMNS} FROM file"
    query += " WHERE document_id IN ({}) ORDER BY fits DESC, id"
    found: dict[int, list[FileRow]] = {}
    for _, number, *row in select_in(db, query, documents, where.values):
        found.setdefault(number, []).append(FileRow(*row))
    return {number: places.in_order(rows) for number, rows in found.items()}


def unread(db: apsw.Connection) -> set[UnreadRow]:
    """How many files of kinds that no reader reads there are in each folder."""
    rows: list[Any] = db.execute("SELECT folder, suffix, count FROM unread").fetchall()
    return set(rows)


def change_unread(db: apsw.Connection, old: Iterable[UnreadRow], new: Iterable[UnreadRow]) -> None:
    """Put rows in the place of others."""
    keys = [(folder, suffix) for folder, suffix, _ in old]
    db.executemany("DELETE FROM unread WHERE folder = ? AND suffix = ?", keys)
    db.executemany("INSERT OR REPLACE INTO unread VALUES (?, ?, ?)", sorted(new))


def errors(db: apsw.Connection) -> dict[str, str]:
    """What could not be read: file as given (and which part of it) -> why."""
    bad: list[Any] = db.execute("SELECT shown, error FROM file WHERE error IS NOT NULL").fetchall()
    parts: list[Any] = db.execute(
        "SELECT MIN(shown), problems FROM file JOIN document ON document.id = document_id"
        " WHERE problems != '{}' GROUP BY document_id"
    ).fetchall()
    inner = [(shown, json.loads(found)) for shown, found in parts]
    return dict(bad) | {f"{shown}, {part}": why for shown, p in inner for part, why in p.items()}


def counts(db: apsw.Connection) -> dict[str, int]:
    """Files, files that could not be read, passages, images."""
    totals: list[Any] = db.execute("SELECT COUNT(*), COUNT(error) FROM file").fetchall()
    rows: list[Any] = db.execute("SELECT modality, COUNT(*) FROM item GROUP BY modality").fetchall()
    files, bad = totals[0]
    by = dict(rows)
    return {
        "files": files - bad,
        "bad_files": bad,
        "passages": by.get("text", 0),
        "images": by.get("image", 0),
    }


def move(db: apsw.Connection, path: str, now: FileRow) -> None:
    """A file's path, and the spelling of it, are others now."""
    values = (now.path, now.shown, path)
    db.execute("UPDATE file SET path = ?, shown = ? WHERE path = ?", values)


def move_unread(db: apsw.Connection, places: Places) -> None:
    """The counts' folders are where they are by now."""
    for (folder,) in db.execute("SELECT DISTINCT folder FROM unread").fetchall():
        now = places.of(str(folder))
        db.execute("UPDATE OR REPLACE unread SET folder = ? WHERE folder = ?", (now, folder))
