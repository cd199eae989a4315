"""SQLite's and the disk's own errors, as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragvis.errors import IndexDamaged, IndexLocked, RagvisError, StorageError

_DISK = "Check the disk's free space and the folder's permissions, then run it again."
_DAMAGED = "Remove the index folder and index again; your own files are untouched."
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_REFUSED = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
}


@contextmanager
def told(file: Path) -> Iterator[None]:
    """Raises:
    IndexLocked, StorageError, IndexDamaged: for what SQLite says of ``file``.
    StorageError: for what the disk says.
    """
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise StorageError(f"{file.parent}: {error}", "Open the index again.") from error
    except sqlite3.DatabaseError as error:
        raise _of_sqlite(file, error) from error
    except OSError as error:
        where = error.filename or file
        raise StorageError(f"{where}: {error.strerror or error}", _DISK) from error


@contextmanager
def sound(file: Path) -> Iterator[None]:
    """Raises:
    IndexDamaged: what was read back is not what was ever written (a flipped bit, say).
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise IndexDamaged(f"{file} holds what was never written ({reason})", _DAMAGED) from error


def _of_sqlite(file: Path, error: sqlite3.DatabaseError) -> RagvisError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in _BUSY:
        return IndexLocked(f"{file}: {error}", "Wait until the other process has finished.")
    if code in _REFUSED:
        return StorageError(f"{file}: {error}", _DISK)
    return IndexDamaged(f"{file}: {error}", _DAMAGED)
