"""The file that answers are logged in: SQLite, in the user's state folder, for no one else."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ragvis import config
from ragvis._files import make_private
from ragvis.errors import StorageError, UsageError

_SCHEMA = """CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    talk TEXT NOT NULL,       -- one conversation
    at TEXT NOT NULL,         -- when it was answered, UTC
    "index" TEXT,             -- absolute path, NULL where there was none
    record TEXT NOT NULL      -- JSON
)"""
_COLUMNS = "id, talk, at, record"
# What every record holds; the file is the user's own to edit.
_HELD = (
    "asked.question asked.images asked.sampling asked.model asked.index answer.answer "
    "answer.abstained answer.sources answer.model answer.index prompt turn versions"
).split()
_WAIT = 5.0  # seconds for another process' write


@dataclass(frozen=True, slots=True)
class Entry:
    """One logged answer; ``record`` is what ``record_of`` made."""

    id: int
    talk: str
    at: str
    record: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of ``ragvis logs``."""
        return {"id": self.id, "talk": self.talk, "at": self.at, **self.record}


@contextmanager
def sound(entry: Entry) -> Iterator[None]:
    """Raises:
    StorageError: the log, which is the user's to edit, holds something else.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        hint = "Was it written by another version? `ragvis logs list` shows the others."
        raise StorageError(f"answer {entry.id} in the log cannot be read", hint) from error


def new_talk() -> str:
    """The name of a new conversation."""
    return uuid.uuid4().hex[:12]


class Log:
    """Every answer, by number. Opened for each use, so that processes do not hold each other up.

    Args:
        file: None takes ``logs.db`` in the state folder (``config.state_dir``).
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or config.state_dir() / "logs.db"
        self._off = self.file.with_name(config.logs_off_file().name)
        self.unreadable: list[int] = []  # numbers of rows that are not what was written

    @property
    def is_on(self) -> bool:
        """Whether answers are to be logged.

        Raises:
            StorageError: that cannot be told.
        """
        with self._told():
            return not self._off.exists()

    def switch(self, on: bool) -> None:
        """Log from now on, or no more.

        Raises:
            StorageError: the disk refuses.
        """
        with self._told():
            if on:
                self._off.unlink(missing_ok=True)
            else:
                make_private(self._off)

    def add(self, talk: str, record: dict[str, Any]) -> int:
        """Log an answer; returns its number.

        Raises:
            StorageError: the disk refuses, or the file is no log.
        """
        index = record["asked"]["index"]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._told(), self._open() as db:
            row = (talk, now, index, json.dumps(record))
            insert = 'INSERT INTO answers (talk, at, "index", record) VALUES (?, ?, ?, ?)'
            return int(db.execute(insert, row).lastrowid or 0)

    def get(self, number: int | None = None) -> Entry:
        """The answer of that number, or the last one.

        Raises:
            UsageError: there is none.
            StorageError: the log cannot be read.
        """
        where, values = ("WHERE id = ?", (number,)) if number else ("ORDER BY id DESC LIMIT 1", ())
        found = self._read(where, values)
        if not found and self.unreadable:
            hint = "`ragvis logs list` shows the others."
            raise StorageError(f"answer {self.unreadable[-1]} in the log cannot be read", hint)
        if not found:
            what = f"no answer {number} in the log" if number else "the log is empty"
            raise UsageError(what, "`ragvis logs list` shows what there is.")
        return found[0]

    def newest(self, count: int) -> list[Entry]:
        """The last so many answers, oldest first. Raises StorageError."""
        return self._read("ORDER BY id DESC LIMIT ?", (count,))[::-1]

    def last_talk(self, index: Path) -> list[Entry]:
        """The last conversation over an index, oldest answer first. Raises StorageError."""
        last = self._read('WHERE "index" = ? ORDER BY id DESC LIMIT 1', (str(index.absolute()),))
        return [*self.before(last[0]), last[0]] if last else []

    def before(self, entry: Entry) -> list[Entry]:
        """The earlier answers of its conversation, oldest first. Raises StorageError."""
        return self._read("WHERE talk = ? AND id < ? ORDER BY id", (entry.talk, entry.id))

    def _read(self, where: str, values: Sequence[Any]) -> list[Entry]:
        with self._told():
            if not self.file.exists() or not self.file.stat().st_size:
                return []
            rows = self._select(f"SELECT {_COLUMNS} FROM answers {where}", values)
        return [entry for row in rows if (entry := self._entry(*row)) is not None]

    def _entry(self, number: int, talk: str, at: str, text: str) -> Entry | None:
        try:
            return Entry(number, talk, at, _record(number, text))
        except (ValueError, RecursionError):
            self.unreadable.append(number)
            return None

    def _select(self, query: str, values: Sequence[Any]) -> list[Any]:
        """What a killed process left half written is rolled back, where the disk takes that."""
        address = self.file.absolute().as_uri()
        mode = "rw" if os.access(self.file, os.W_OK) else "ro"
        with closing(sqlite3.connect(f"{address}?mode={mode}", timeout=_WAIT, uri=True)) as db:
            return db.execute(query, values).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        make_private(self.file)  # SQLite gives the files beside it the same mode
        with closing(sqlite3.connect(self.file, timeout=_WAIT)) as db, db:
            db.execute(_SCHEMA)
            yield db

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            hint = "Make room, or leave answers out of it with -n."
            if "locked" in str(error):
                hint = "Another process writes to it; try again."
            elif isinstance(error, sqlite3.DatabaseError):
                hint = "Move that file away if it stays so, or leave answers out of it with -n."
            raise StorageError(f"the log {self.file}: {error}", hint) from error


def _record(number: int, text: str) -> dict[str, Any]:
    """Raises:
    ValueError: it is not what ``record_of`` made.
    """
    record = json.loads(text)
    for name in _HELD:
        value = record
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise ValueError(f"answer {number} lacks {name}")
            value = value[part]
    return dict(record)
