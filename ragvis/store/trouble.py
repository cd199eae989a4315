"""SQLite's and the disk's own errors, as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ragvis.errors import IndexDamaged, IndexLocked, RagvisError, StorageError

_DISK = "Check the disk's free space and the folder's permissions, then run it again."
_DAMAGED = "Remove the index folder and index again; your own files are untouched."
_BUSY = {apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED}
_REFUSED = {
    apsw.SQLITE_READONLY,
    apsw.SQLITE_CANTOPEN,
    apsw.SQLITE_FULL,
    apsw.SQLITE_IOERR,
    apsw.SQLITE_PERM,
}
_TOO_MUCH = {apsw.SQLITE_NOMEM, apsw.SQLITE_TOOBIG}


@contextmanager
def told(file: Path) -> Iterator[None]:
    """Raises:
    IndexLocked, StorageError, IndexDamaged: for what SQLite says of ``file``.
    StorageError: for what the disk says.
    """
    try:
        yield
    except (apsw.ConnectionClosedError, apsw.CursorClosedError) as error:
        raise StorageError(f"{file.parent}: {error}", "Open the index again.") from error
    except apsw.Error as error:
        raise _of_sqlite(file, error) from error
    except OSError as error:
        where = error.filename or file
        raise StorageError(f"{where}: {error.strerror or error}", _DISK) from error


@contextmanager
def sound(file: Path) -> Iterator[None]:
    """Raises:
    IndexDamaged: what was read back is not what was ever written.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise IndexDamaged(f"{file} holds what was never written ({reason})", _DAMAGED) from error


def _of_sqlite(file: Path, error: apsw.Error) -> RagvisError:
    result = getattr(error, "result", apsw.SQLITE_CORRUPT)  # apsw's own errors have none
    if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA:
        return IndexDamaged(f"{file}: a page does not have its checksum", _DAMAGED)
    if result in _BUSY:
        return IndexLocked(f"{file}: {error}", "Wait until the other process has finished.")
    if result in _REFUSED:
        return StorageError(f"{file}: {error}", _DISK)
    if result in _TOO_MUCH:
        return StorageError(f"{file}: {error}", "Free some memory, or leave out the largest files.")
    return IndexDamaged(f"{file}: {error}", _DAMAGED)
