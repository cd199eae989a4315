"""Connections to SQLite files whose every page carries a checksum.

SQLite itself reads a flipped bit as if it had been written so. Its extension cksumvfs keeps eight
bytes a page and refuses a page that does not match; the ``apsw`` package brings it.
"""

from __future__ import annotations

import functools
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import apsw.sqlite_extra

from ragvis.config import DEFAULT_INDEX
from ragvis.errors import IndexDamaged, IndexMissing, MissingExtra
from ragvis.store import sql_functions

Stamp = tuple[int, int]  # device and inode

_SUM = 8  # bytes of checksum at the end of each page
_RESERVED_AT = 20  # where a SQLite file's header says so
_PAGE_SIZE_AT, _PAGES_AT = slice(16, 18), slice(28, 32)  # where it gives bytes a page, and pages
_HEAD = 32  # bytes of the header that are read here
_IN_CLAUSE = 500  # values bound at a time
_WAIT = 30_000  # milliseconds for another connection's commit
_READ = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_WRITE = apsw.SQLITE_OPEN_READWRITE
_CREATE = _WRITE | apsw.SQLITE_OPEN_CREATE


def create(file: Path) -> apsw.Connection:
    """A new, empty database with room for checksums."""
    db = _open(str(file), _CREATE)
    db.reserve_bytes(reserve=_SUM)
    return db


def use_log(db: apsw.Connection) -> None:
    """From now on, commits go to a write-ahead log, so that readers go on beside the writer.

    Raises:
        apsw.Error: the disk refuses, or cannot do that.
    """
    mode = db.execute("PRAGMA journal_mode = WAL").get
    if mode != "wal":
        raise apsw.CantOpenError(f"this file system has no write-ahead log (it offers {mode})")


def open_to_write(file: Path) -> apsw.Connection:
    """An existing database."""
    return _open(str(file), _WRITE)


def open_to_read(file: Path) -> apsw.Connection:
    """Read-only; without locks only where no writer can be and no log waits to be read."""
    uri = file.resolve().as_uri() + "?mode=ro"
    try:
        return _readable(uri)
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        if _log_waits(file) or os.access(file.parent, os.W_OK):
            raise
        return _readable(uri + "&immutable=1")


def stamp(file: Path) -> Stamp:
    """Which file it is: another one of the same name has another stamp while this one is open.

    Raises:
        IndexMissing: none is there.
    """
    found = None
    with suppress(FileNotFoundError, NotADirectoryError):
        found = file.stat()
    if found is None or not stat.S_ISREG(found.st_mode):
        folder = file.parent
        named = "" if folder == DEFAULT_INDEX else f" -i {shlex.quote(str(folder))}"
        place = folder
        with suppress(OSError):  # the current folder may be gone
            place = folder.absolute()
        raise IndexMissing(f"no index in {place}", f"Make one: ragvis index PATH{named}")
    return found.st_dev, found.st_ino


def remove(file: Path) -> None:
    """Remove a database, and what SQLite keeps beside it: that would be played into the next."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def select_in(
    db: apsw.Connection, query: str, values: Sequence[int], first: Sequence[Any] = ()
) -> list[Any]:
    """Rows of a query with ``IN ({})``, however many values there are; ``first`` are bound before
    them."""
    rows: list[Any] = []
    for start in range(0, len(values), _IN_CLAUSE):
        part = values[start : start + _IN_CLAUSE]
        marks = ",".join("?" * len(part))
        rows += db.execute(query.format(marks), (*first, *part)).fetchall()
    return rows


def require_whole(file: Path) -> None:
    """Raises:
    IndexDamaged: the file's header does not say that its pages carry checksums, or the file ends
        before its last page does: SQLite takes what is missing of a page for zeros.
    """
    hint = "Remove the index folder and index again; your own files are untouched."
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
        size = os.fstat(stream.fileno()).st_size
    if len(head) < _HEAD or head[_RESERVED_AT] != _SUM:
        raise IndexDamaged(f"{file} has a broken header", hint)
    page = int.from_bytes(head[_PAGE_SIZE_AT], "big")
    least = page * int.from_bytes(head[_PAGES_AT], "big")
    # Looked at last: while a writer moves its log into the file, the log is there
    if (size < least or size % page) and not _log_waits(file):
        raise IndexDamaged(f"{file} ends too early, at {size} bytes", hint)


def _log_waits(file: Path) -> bool:
    """Whether commits wait beside the file."""
    log = file.with_name(file.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def check(db: apsw.Connection, file: Path) -> None:
    """Read every page, those included that nothing uses.

    Raises:
        IndexDamaged: one of them is not what was written.
    """
    hint = "Remove the index folder and index again; your own files are untouched."
    size = int(db.execute("PRAGMA page_size").get)
    with file.open("rb") as stream:
        for number in range(1, file.stat().st_size // size + 1):
            if not db.execute("SELECT verify_checksum(?)", (stream.read(size),)).get:
                raise IndexDamaged(f"{file}: page {number} does not have its checksum", hint)
    said = db.execute("PRAGMA integrity_check").get
    if said != "ok":
        raise IndexDamaged(f"{file}: {said}", hint)


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[None]:
    """All of it or nothing, for writing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has rolled back by itself after some errors
            db.execute("ROLLBACK")
        raise


def _readable(uri: str) -> apsw.Connection:
    db = _open(uri, _READ)
    try:
        db.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    except apsw.Error:
        db.close()
        raise
    return db


def _open(name: str, flags: int) -> apsw.Connection:
    _load_checksums()
    db = apsw.Connection(name, flags=flags)
    db.set_busy_timeout(_WAIT)
    sql_functions.register(db)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")
    return db


@functools.cache
def _load_checksums() -> None:
    """Once loaded, the extension serves every connection that is opened after it."""
    hint = "Install its wheel: pip install --force-reinstall apsw"
    if apsw.sqlite_extra.has("cksumvfs") != "extension":
        raise MissingExtra("this build of apsw lacks SQLite's cksumvfs", hint)
    db = apsw.Connection(":memory:")
    try:
        apsw.sqlite_extra.load(db, "cksumvfs")
    except (apsw.Error, AttributeError) as error:
        raise MissingExtra(f"SQLite's cksumvfs cannot be loaded: {error}", hint) from error
    finally:
        db.close()
