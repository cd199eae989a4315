"""What pictures become for a language model, in a file of its own beside the catalog.

All of it can be computed again: a file that turns out to be damaged is marked, and thrown away by
the next writer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragvis._files import replace
from ragvis.errors import IndexDamaged, RagvisError, StorageError
from ragvis.store import connection
from ragvis.store.trouble import sound, told

if TYPE_CHECKING:
    import apsw
    from numpy.typing import NDArray

    Rows = NDArray[np.float16] | NDArray[np.float32]

FEATURES = "features.db"
_MARK = "features.damaged"
_TABLES = """
CREATE TABLE model (revision TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE features (
    revision TEXT NOT NULL,         -- of the model
    key TEXT NOT NULL,              -- sha256 of what its tower was given
    dtype TEXT NOT NULL,            -- numpy's name: <f2 or <f4
    tokens INTEGER NOT NULL,
    data BLOB NOT NULL,             -- (tokens, hidden)
    PRIMARY KEY (revision, key)
);

-- Which pictures of the catalog have been through, by what was embedded of them.
CREATE TABLE picture (
    revision TEXT NOT NULL,
    content TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (revision, content)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One picture of the catalog as a model sees it."""

    content: str
    key: str
    rows: Rows  # (tokens, hidden)


class FeatureFile:
    """Reads and writes ``features.db``. A connection is open for the length of each call."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FEATURES
        self._mark = folder / _MARK

    def prepare(self, revision: str, name: str) -> None:
        """Make the file, anew where it was found damaged, and drop what it holds of the model's
        other revisions. Hold the writer's lock.

        Raises:
            StorageError: the disk refuses.
        """
        if self.file.is_dir():
            raise StorageError(f"{self.file} is a folder", "Move it away: a file belongs there.")
        with told(self.file):
            if self._mark.exists() or not self._can_be_read():
                connection.remove(self.file)
                self._mark.unlink(missing_ok=True)
            if not self.file.exists():
                self._create()
        with self._open(connection.open_to_write) as db, connection.transaction(db):
            older = "SELECT revision FROM model WHERE name = ? AND revision != ?"
            for table in ("features", "picture", "model"):  # nothing looks for them any more
                db.execute(f"DELETE FROM {table} WHERE revision IN ({older})", (name, revision))
            db.execute("INSERT OR REPLACE INTO model VALUES (?, ?)", (revision, name))

    def _create(self) -> None:
        part = self.file.with_suffix(".part")
        connection.remove(part)
        with closing(connection.create(part)) as db:
            db.execute(_TABLES)
            connection.use_log(db)
        replace(part, self.file)

    def _can_be_read(self) -> bool:
        try:
            self._counts()
        except IndexDamaged:
            return False
        return True

    def mark_damaged(self) -> None:
        """Leave word for the next writer."""
        with contextlib.suppress(OSError):  # in a folder that is read-only there is none
            self._mark.touch()

    def add(self, revision: str, pictures: Iterable[Stored]) -> None:
        """All of them or none."""
        with self._open(connection.open_to_write) as db, connection.transaction(db):
            for one in pictures:
                row = (one.rows.dtype.str, len(one.rows), one.rows.tobytes())
                db.execute(
                    "INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)",
                    (revision, one.key, *row),
                )
                picture = (revision, one.content, one.key)
                db.execute("INSERT OR REPLACE INTO picture VALUES (?, ?, ?)", picture)

    def keep_only(self, revision: str, contents: set[str]) -> int:
        """Forget all other pictures; how many."""
        gone = sorted(self.contents(revision) - contents)
        with self._open(connection.open_to_write) as db, connection.transaction(db):
            values = [(revision, content) for content in gone]
            db.executemany("DELETE FROM picture WHERE revision = ? AND content = ?", values)
            db.execute(
                "DELETE FROM features WHERE revision = ? AND key NOT IN"
                " (SELECT key FROM picture WHERE revision = features.revision)",
                (revision,),
            )
        return len(gone)

    def contents(self, revision: str) -> set[str]:
        """The pictures that have been through."""
        with self._open(connection.open_to_read) as db:
            rows = db.execute("SELECT content FROM picture WHERE revision = ?", (revision,))
            return {str(row[0]) for row in rows}

    def get(self, revision: str, key: str) -> Rows | None:
        """(tokens, hidden), or None where there is none.

        Raises:
            IndexDamaged, IndexLocked, StorageError: as their names say.
        """
        if not self.file.is_file():
            return None
        query = "SELECT dtype, tokens, data FROM features WHERE revision = ? AND key = ?"
        with self._open(connection.open_to_read) as db, sound(self.file):
            found = db.execute(query, (revision, key)).fetchone()
            if found is None:
                return None
            dtype, tokens, data = found
            rows: Rows = np.frombuffer(data, dtype).reshape(int(tokens), -1)
            return rows

    def counts(self) -> dict[str, int]:
        """Pictures by the name of the model; none where the file cannot be read."""
        try:
            return self._counts()
        except RagvisError:
            return {}

    def _counts(self) -> dict[str, int]:
        if not self.file.is_file():
            return {}
        query = "SELECT name, COUNT(*) FROM picture JOIN model USING (revision) GROUP BY name"
        with self._open(connection.open_to_read) as db, sound(self.file):
            return {str(name): int(n) for name, n in db.execute(query)}

    def problems(self) -> list[str]:
        """Read every page; what is wrong."""
        if not self.file.is_file():
            return [f"{self.file} is no file"] if self.file.exists() else []
        try:
            with self._open(connection.open_to_read) as db:
                connection.check(db, self.file)
        except IndexDamaged as damage:
            self.mark_damaged()
            return [f"{damage}, which --features wrote"]
        return []

    @contextmanager
    def _open(self, opener: Callable[[Path], apsw.Connection]) -> Iterator[apsw.Connection]:
        with told(self.file):
            connection.require_whole(self.file)
            with closing(opener(self.file)) as db:
                yield db
