"""Indexes of an older format, brought to today's in place."""

from __future__ import annotations

import contextlib
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis.documents.model import short, title_from_name
from ragvis.index.plan import content_of
from ragvis.store import connection
from ragvis.store.catalog import CATALOG, Catalog
from ragvis.store.lock import writer_lock
from ragvis.store.rows import DocumentRow, FileRow, item_of
from ragvis.store.schema import FILTERS, FORMAT, FROM_2, FROM_4, REBUILD, UNREAD, WORDS
from ragvis.store.trouble import sound, told
from ragvis.types import Tell

if TYPE_CHECKING:
    import apsw

FORMAT_1 = "catalog.sqlite"
# What brings a catalog of an older format to where WORDS, FILTERS and UNREAD are to be made.
_STEPS = {"2": FROM_2 + FROM_4, "3": FROM_4, "4": FROM_4}
_KEPT = ("encoder", "fingerprint", "dim", "generation")
_FILES = "SELECT id, path, shown, size, mtime_ns, inode, sha256, title, error FROM file ORDER BY id"
# An item's columns as ``item_of`` takes them, with nothing for those that format 1 lacks.
_ITEMS = (
    "SELECT 0, modality, ordinal, content, page, span_start, span_end, bbox, section, body, '',"
    " '{}', 0, vector FROM item WHERE file_id = ? ORDER BY id"
)


def upgrade(folder: Path, tell: Tell) -> None:
    """Write today's catalog beside one of format 1, and then remove that; change a later one where
    it lies, in one transaction. Nothing is embedded again. Killed at any point, the one or
    the other catalog is whole.

    Raises:
        IndexLocked: another process is writing.
        StorageError: the folder is read-only, or the disk full.
        IndexDamaged: the old catalog cannot be read.
    """
    if os.path.isfile(folder / CATALOG):  # unlike Path.is_file it raises nothing
        _upgrade_in_place(folder, tell)
    elif os.path.isfile(folder / FORMAT_1):
        _upgrade_1(folder, tell)


def _upgrade_in_place(folder: Path, tell: Tell) -> None:
    with closing(Catalog.open(folder)) as catalog:
        if catalog.format not in _STEPS:
            return
    with writer_lock(folder), told(folder / CATALOG):
        tell(f"bringing {folder} to this version's format; now run `ragvis index` on it once")
        with closing(connection.open_to_write(folder / CATALOG)) as db, connection.transaction(db):
            found = str(db.execute("SELECT value FROM meta WHERE key = 'format'").get)
            if found not in _STEPS:
                return  # another process was first
            db.execute(_STEPS[found] + WORDS + FILTERS + UNREAD + REBUILD)
            db.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT),))


def _upgrade_1(folder: Path, tell: Tell) -> None:
    with writer_lock(folder):
        if (folder / CATALOG).is_file():  # another process was first
            return
        tell(f"bringing {folder} to this version's format (once)")
        with told(folder / FORMAT_1), closing(connection.open_to_write(folder / FORMAT_1)) as old:
            rows: list[Any] = old.execute("SELECT key, value FROM meta").fetchall()
            settings = dict(rows)
            with sound(folder / FORMAT_1):
                kept = {k: settings[k] for k in _KEPT}
            with Catalog.creating(folder, kept) as new, new.commit(), sound(folder / FORMAT_1):
                files: list[Any] = old.execute(_FILES).fetchall()
                for number, *values in files:
                    _copy(old, new, number, values)
        for name in (FORMAT_1, f"{FORMAT_1}-wal", f"{FORMAT_1}-shm"):
            with contextlib.suppress(OSError):  # it is not read any more, whoever holds it open
                (folder / name).unlink()


def _copy(old: apsw.Connection, new: Catalog, number: int, values: list[Any]) -> None:
    path, shown, size, mtime_ns, inode, sha256, title, error = values
    label = short(title_from_name(Path(path)))
    file = FileRow(path, shown, size, mtime_ns, inode, sha256, label, error)
    if error is not None:
        new.link(file, None)
        return
    content = content_of(path, sha256)
    document = new.document_id(content)
    if document is None:
        rows = list(old.execute(_ITEMS, (number,)))
        vectors = np.frombuffer(b"".join(r[-1] for r in rows), "<f2").reshape(len(rows), -1)
        own = DocumentRow(content, "" if title == label else title)
        items = [item_of(row[:-1], ()) for row in rows]
        document = new.add_document(own, items, vectors.astype(np.float32))
    new.link(file, document)
