"""The catalog: one SQLite file that holds everything an index knows."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis.errors import IndexDamaged, IndexMismatch, IndexMissing
from ragvis.store import words
from ragvis.store.schema import FORMAT, TABLES
from ragvis.store.trouble import sound, told
from ragvis.types import Box, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]

CATALOG = "catalog.sqlite"
_STORED = np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file as it was when it was last read."""

    path: str
    shown: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    title: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One retrievable unit. ``id`` is 0 until it is stored."""

    modality: Modality
    ordinal: int
    content: str
    page: int | None = None
    span: tuple[int, int] | None = None
    bbox: Box | None = None
    section: str = ""
    body: str = ""
    id: int = 0
    file: FileRow | None = None


class Catalog:
    """Reads and writes ``catalog.sqlite``. One writer at a time; readers see whole commits."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._db = connection

    @classmethod
    def create(cls, folder: Path, settings: dict[str, str]) -> Catalog:
        """A new, empty catalog. It appears whole or not at all; hold the writer's lock."""
        file = folder / CATALOG
        part = file.with_suffix(".part")
        with told(file):
            folder.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            db = _connect(part)
            try:
                meta = {"format": str(FORMAT), "generation": "0", **settings}
                with _transaction(db):
                    for statement in _statements(TABLES):
                        db.execute(statement)
                    db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            finally:
                db.close()
            os.replace(part, file)
            with closing(_connect(file)) as db:
                db.execute("PRAGMA journal_mode = WAL")
        return cls.open(folder, write=True)

    @classmethod
    def open(cls, folder: Path, write: bool = False) -> Catalog:
        """An existing catalog.

        Raises:
            IndexMissing: there is none.
            IndexMismatch: a newer format.
            IndexDamaged: not a catalog, or unreadable.
        """
        file = folder / CATALOG
        if not file.is_file():
            raise IndexMissing(f"no index in {folder}", f"Make one: ragvis index PATH -i {folder}")
        with told(file):
            catalog = cls(folder, _connect(file) if write else _connect_readonly(file))
        try:
            catalog._check_format()
        except BaseException:
            catalog.close()
            raise
        return catalog

    def _check_format(self) -> None:
        found = self.meta().get("format", "0")
        if not found.isdigit() or int(found) == 0:
            raise IndexDamaged(f"{self.folder} is not a ragvis index", "Index into another folder.")
        if int(found) > FORMAT:
            raise IndexMismatch(
                f"the index in {self.folder} has format {found}; this ragvis reads up to {FORMAT}",
                "Upgrade ragvis: pip install -U ragvis",
            )

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def fold(self) -> None:
        """Move the write-ahead log into the file, as far as readers allow."""
        with told(self.folder / CATALOG):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One generation: everything inside is stored, or nothing is."""
        with told(self.folder / CATALOG), _transaction(self._db):
            yield
            self._db.execute(
                "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'"
            )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one generation, whatever a writer commits meanwhile. Can be nested."""
        if self._db.in_transaction:
            yield
            return
        with told(self.folder / CATALOG):
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    # --- settings -------------------------------------------------------------------------

    def meta(self) -> dict[str, str]:
        """All settings."""
        with told(self.folder / CATALOG):
            return dict(self._db.execute("SELECT key, value FROM meta").fetchall())

    def set_meta(self, **values: str) -> None:
        """Change settings; within ``commit``."""
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    @property
    def generation(self) -> int:
        """Number of commits so far."""
        return int(self.meta()["generation"])

    # --- writing (within ``commit``) -------------------------------------------------------

    def put(self, file: FileRow, items: Sequence[ItemRow], vectors: Vectors) -> None:
        """Replace what is known of one file. vectors: (len(items), dim) float32, unit rows."""
        self.remove([file.path])
        row = (file.path, file.shown, file.size, file.mtime_ns, file.inode, file.sha256)
        cursor = self._db.execute(
            "INSERT INTO file(path, shown, size, mtime_ns, inode, sha256, title, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, file.title, file.error),
        )
        name = _name_words(file.path)
        blobs = (v.astype(_STORED).tobytes() for v in vectors)
        self._db.executemany(
            "INSERT INTO item(file_id, modality, ordinal, page, span_start, span_end, bbox,"
            " section, body, title, name, content, vector)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (cursor.lastrowid, *_item_columns(item), file.title, name, item.content, blob)
                for item, blob in zip(items, blobs, strict=True)
            ],
        )

    def touch(self, file: FileRow) -> None:
        """The same content under new times, or under a new spelling of its path."""
        self._db.execute(
            "UPDATE file SET shown = ?, size = ?, mtime_ns = ?, inode = ? WHERE path = ?",
            (file.shown, file.size, file.mtime_ns, file.inode, file.path),
        )

    def remove(self, paths: Iterable[str]) -> None:
        """Forget files and their items."""
        self._db.executemany("DELETE FROM file WHERE path = ?", [(p,) for p in paths])

    def set_derived(self, modality: Modality, file: str, sha256: str) -> None:
        """Note the FAISS file made of the generation as it stands."""
        with told(self.folder / CATALOG), _transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO derived VALUES (?, ?, ?,"
                " (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'generation'))",
                (modality, file, sha256),
            )

    # --- reading --------------------------------------------------------------------------

    def files(self) -> dict[str, FileRow]:
        """Every file by its absolute path."""
        with told(self.folder / CATALOG), sound(self.folder / CATALOG):
            rows = self._db.execute(f"SELECT {_FILE_COLUMNS} FROM file").fetchall()
            return {str(row[0]): FileRow(*row) for row in rows}

    def items(self, ids: Iterable[int]) -> dict[int, ItemRow]:
        """Items with their files, by id; ids that are gone are left out."""
        found: dict[int, ItemRow] = {}
        wanted = list(ids)
        with told(self.folder / CATALOG), sound(self.folder / CATALOG):
            for start in range(0, len(wanted), words.IN_CLAUSE):
                part = wanted[start : start + words.IN_CLAUSE]
                marks = ",".join("?" * len(part))
                rows = self._db.execute(f"{_ITEM_QUERY} WHERE item.id IN ({marks})", part)
                found |= {row[0]: _item_of(row) for row in rows}
        return found

    def vectors(self, modality: Modality) -> tuple[Ids, Vectors]:
        """All vectors of a modality: ids (n,) int64 ascending, (n, dim) float32 unit rows."""
        with told(self.folder / CATALOG), sound(self.folder / CATALOG):
            rows = self._db.execute(
                "SELECT id, vector FROM item WHERE modality = ? ORDER BY id", (modality,)
            ).fetchall()
            return np.array([r[0] for r in rows], np.int64), self._matrix([r[1] for r in rows])

    def known_vectors(self, contents: Iterable[str]) -> dict[str, Vectors]:
        """Vectors already stored for the same embedded content: key -> (dim,) float32."""
        query = "SELECT vector FROM item WHERE content = ? LIMIT 1"
        with told(self.folder / CATALOG):
            rows = {c: self._db.execute(query, (c,)).fetchone() for c in set(contents)}
        return {c: self._matrix([row[0]])[0] for c, row in rows.items() if row is not None}

    def word_search(self, query: str, modality: Modality, k: int) -> list[tuple[int, float]]:
        """BM25 over text, title, heading and file name: (id, score), best first, higher better."""
        with told(self.folder / CATALOG):
            return words.search(self._db, query, modality, k)

    def word_coverage(self, query: str, ids: Sequence[int]) -> dict[int, float]:
        """How much of a query's wording each item has: see ``words.coverage``."""
        with told(self.folder / CATALOG):
            return words.coverage(self._db, query, ids)

    def derived(self) -> dict[str, tuple[str, str, int]]:
        """modality -> (file name, sha256, generation)."""
        with told(self.folder / CATALOG):
            rows = self._db.execute("SELECT modality, file, sha256, generation FROM derived")
            return {r[0]: (r[1], r[2], r[3]) for r in rows}

    def counts(self) -> dict[str, int]:
        """Files, files that could not be read, passages, images."""
        with told(self.folder / CATALOG):
            files, bad = self._db.execute("SELECT COUNT(*), COUNT(error) FROM file").fetchone()
            by = dict(self._db.execute("SELECT modality, COUNT(*) FROM item GROUP BY modality"))
        return {
            "files": files - bad,
            "bad_files": bad,
            "passages": by.get("text", 0),
            "images": by.get("image", 0),
        }

    def check(self) -> None:
        """Read every page of the file.

        Raises:
            IndexDamaged: SQLite finds it broken.
        """
        with told(self.folder / CATALOG):
            said = self._db.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            raise IndexDamaged(f"{self.folder / CATALOG}: {said}", "Remove it and index again.")

    def _matrix(self, blobs: list[bytes]) -> Vectors:
        if not blobs:
            return np.empty((0, int(self.meta()["dim"])), np.float32)
        rows = np.frombuffer(b"".join(blobs), _STORED).reshape(len(blobs), -1)
        return rows.astype(np.float32)


_FILE_COLUMNS = "path, shown, size, mtime_ns, inode, sha256, file.title, error"
_ITEM_QUERY = (
    "SELECT item.id, modality, ordinal, content, page, span_start, span_end, bbox, section, body,"
    f" {_FILE_COLUMNS} FROM item JOIN file ON file.id = item.file_id"
)


def _item_columns(item: ItemRow) -> tuple[Any, ...]:
    start, end = item.span or (None, None)
    box = json.dumps(item.bbox) if item.bbox else None
    place = (item.modality, item.ordinal, item.page, start, end, box)
    return (*place, item.section, item.body)


def _item_of(row: tuple[Any, ...]) -> ItemRow:
    id_, modality, ordinal, content, page, start, end, box, section, body, *file = row
    return ItemRow(
        modality,
        ordinal,
        content,
        page,
        None if start is None else (start, end),
        tuple(json.loads(box)) if box else None,
        section,
        body,
        id_,
        FileRow(*file),
    )


def _name_words(path: str) -> str:
    """The file's name and its folder's, as words, so that pictures can be found by them."""
    file = Path(path)
    return " ".join(re.findall(r"[^\W_]+", f"{file.parent.name} {file.stem}"))


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _connect_readonly(file: Path) -> sqlite3.Connection:
    """Read-only; without locks only where no writer can be and no log waits to be read."""
    uri = file.resolve().as_uri() + "?mode=ro"
    try:
        return _opened(uri)
    except sqlite3.OperationalError:
        log = file.with_name(file.name + "-wal")
        waiting = log.exists() and log.stat().st_size > 0
        if waiting or os.access(file.parent, os.W_OK):
            raise
        return _opened(uri + "&immutable=1")


def _opened(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        db.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


def _statements(script: str) -> Iterator[str]:
    """executescript() commits on its own; one transaction needs the statements one by one."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
