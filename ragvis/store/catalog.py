"""The catalog: one SQLite file that holds everything an index knows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis._files import replace
from ragvis.errors import IndexDamaged, IndexMismatch
from ragvis.store import connection, file_table, item_vectors, words
from ragvis.store.connection import transaction
from ragvis.store.file_table import UnreadRow
from ragvis.store.places import Places
from ragvis.store.rows import (
    BODIES,
    EVERY,
    FILE_COLUMNS,
    ITEM_COLUMNS,
    PASSAGES,
    Body,
    DocumentRow,
    FileRow,
    ItemRow,
    Where,
    item_of,
    place_of,
)
from ragvis.store.schema import FORMAT, TABLES
from ragvis.store.segments import SegmentRow
from ragvis.store.trouble import sound, told
from ragvis.types import Modality

if TYPE_CHECKING:
    import apsw
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Stored = NDArray[np.float16]
    Ids = NDArray[np.int64]

CATALOG = "catalog.db"
_FOLDER = "folder"  # setting: the index's own, absolute, when the files' paths were written


class Catalog:
    """Reads and writes ``catalog.db``. One writer at a time; readers see whole commits."""

    def __init__(
        self, folder: Path, db: apsw.Connection, stamp: connection.Stamp | None = None
    ) -> None:
        self.folder = folder.absolute()  # the current folder may change while it is open
        self.file = self.folder / CATALOG
        self._db = db
        self._stamp = stamp
        self._places = Places(None, str(self.folder))
        self._touched: set[int] = set()  # documents whose files changed within this commit

    @classmethod
    @contextmanager
    def creating(cls, folder: Path, settings: dict[str, str]) -> Iterator[Catalog]:
        """A new catalog, to be filled; it appears whole at the end or not at all. Hold the
        writer's lock."""
        file = folder / CATALOG
        part = file.with_suffix(".part")
        with told(file):
            folder.mkdir(parents=True, exist_ok=True)
            connection.remove(part)
            with closing(connection.create(part)) as db:
                meta = {"format": str(FORMAT), "generation": "0", _FOLDER: str(folder.absolute())}
                with transaction(db):
                    db.execute(TABLES)
                    db.executemany("INSERT INTO meta VALUES (?, ?)", (meta | settings).items())
                yield cls(folder, db)
                # Last: what a failed checkpoint leaves in a log would stay behind in the renaming.
                connection.use_log(db)
            replace(part, file)

    @classmethod
    def create(cls, folder: Path, settings: dict[str, str]) -> Catalog:
        """A new, empty catalog, open for writing. Hold the writer's lock."""
        with cls.creating(folder, settings):
            pass
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
        with told(file):
            # First: what is put in its place from now on is another one
            stamp = connection.stamp(file)
            connection.require_whole(file)
            opened = connection.open_to_write if write else connection.open_to_read
            catalog = cls(folder, opened(file), stamp)
        try:
            catalog._check_format()
            catalog._places = Places(catalog.meta().get(_FOLDER), str(catalog.folder))
        except BaseException:
            catalog.close()
            raise
        return catalog

    @property
    def format(self) -> str:
        """The tables' own, "0" where they are not ours."""
        return self.meta().get("format", "0")

    def _check_format(self) -> None:
        found = self.format
        if not found.isdigit() or int(found) == 0:
            raise IndexDamaged(f"{self.folder} is not a ragvis index", "Index into another folder.")
        if int(found) > FORMAT:
            raise IndexMismatch(
                f"the index in {self.folder} has format {found}; this ragvis reads up to {FORMAT}",
                "Upgrade ragvis: pip install -U ragvis",
            )

    def is_replaced(self) -> bool:
        """Whether another catalog lies in its place by now; within a snapshot it does not matter.

        Raises:
            IndexMissing: none does.
        """
        with told(self.file):
            return not self._db.in_transaction and connection.stamp(self.file) != self._stamp

    def close(self) -> None:
        """Give the file back."""
        with told(self.file):
            self._db.close()

    def fold(self) -> None:
        """Move the write-ahead log into the file, as far as readers allow, waiting for none."""
        with told(self.file):
            self._db.set_busy_timeout(0)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One generation: everything inside is stored, or nothing is."""
        self._touched.clear()
        with told(self.file), transaction(self._db):
            yield
            file_table.settle(self._db, self._touched)
            self._db.execute(
                "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'"
            )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one generation, whatever a writer commits meanwhile. Can be nested."""
        with told(self.file):
            is_inside = self._db.in_transaction
        if is_inside:
            yield
            return
        self._all("BEGIN")
        try:
            yield
        finally:
            self._all("COMMIT")

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with told(self.file):
            return self._db.execute(query, values).fetchall()

    def meta(self) -> dict[str, str]:
        """All settings."""
        return dict(self._all("SELECT key, value FROM meta"))

    def set_meta(self, **values: str) -> None:
        """Change settings; within ``commit``."""
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    @property
    def generation(self) -> int:
        """Number of commits so far."""
        return self._number("generation")

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self._number("dim")

    def _number(self, key: str) -> int:
        """One setting: the others hold the calibration, and every search asks the generation."""
        query = "SELECT value FROM meta WHERE key = ?"
        with sound(self.file):
            return int(self._all(query, (key,))[0][0])

    # --- writing (within ``commit``) -------------------------------------------------------

    def add_document(
        self, document: DocumentRow, items: Sequence[ItemRow], vectors: Vectors
    ) -> int:
        """Store what was read; its id, to be linked. vectors: (len(items), dim), unit rows."""
        said = (json.dumps(document.problems), json.dumps(document.metadata))
        self._db.execute(
            "INSERT INTO document(content, title, problems, metadata) VALUES (?, ?, ?, ?)",
            (document.content, document.title, *said),
        )
        number = self._db.last_insert_rowid()
        self._db.executemany(
            "INSERT INTO item(document_id, modality, ordinal, page, span_start, span_end, bbox,"
            " section, body, title, name, content, near, vector)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)",
            [
                (number, *place_of(item), item.content, item.near, blob)
                for item, blob in zip(items, item_vectors.packed(vectors), strict=True)
            ],
        )
        return number

    def link(self, file: FileRow, document: int | None) -> None:
        """A path holds this document now; None where it could not be read."""
        self._touch_documents_of(file.path)
        file_table.link(self._db, file, document)
        if document is not None:
            self._touched.add(document)

    def respell(self, path: str, shown: str) -> None:
        """The same file under a new spelling of its path."""
        self._db.execute("UPDATE file SET shown = ? WHERE path = ?", (shown, path))

    def remove(self, paths: Iterable[str]) -> None:
        """Forget files, and the documents that no other file holds."""
        for path in paths:
            self._touch_documents_of(path)
            self._db.execute("DELETE FROM file WHERE path = ?", (path,))

    def follow(self) -> None:
        """Write down the paths of the files that were moved together with the index."""
        if not self._places.are_other and _FOLDER in self.meta():
            return
        own = self._file_rows()
        with self.commit():
            for path, row in own.items():
                now = self._places.of_row(row)
                if now.path == path:
                    continue
                self._touch_documents_of(path)
                if now.path in own:  # it was indexed there, too
                    self.remove([path])
                else:
                    file_table.move(self._db, path, now)
            file_table.move_unread(self._db, self._places)
            self.set_meta(**{_FOLDER: str(self.folder)})
        self._places = Places(None, str(self.folder))

    def change_unread(self, old: Iterable[UnreadRow], new: Iterable[UnreadRow]) -> None:
        """Put rows of ``unread`` in the place of others."""
        file_table.change_unread(self._db, old, new)

    def set_segments(self, modality: Modality, segments: Sequence[SegmentRow], kept: int) -> None:
        """The segments as they stand now, the first ``kept`` of them as before; of the dead,
        only those that stand in these are still of interest."""
        self._db.execute("DELETE FROM segment WHERE modality = ?", (modality,))
        rows = ((s.name, s.modality, s.first, s.last, s.count, s.sums) for s in segments)
        self._db.executemany("INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?)", rows)
        after = segments[kept - 1].last if kept else -1
        self._db.execute("DELETE FROM dead WHERE modality = ? AND id > ?", (modality, after))

    def _touch_documents_of(self, path: str) -> None:
        query = "SELECT document_id FROM file WHERE path = ? AND document_id IS NOT NULL"
        self._touched |= {row[0] for row in self._db.execute(query, (path,))}

    def files(self) -> dict[str, FileRow]:
        """Every file by its absolute path of today."""
        own = self._file_rows()
        if not self._places.are_other:
            return own
        now = map(self._places.of_row, own.values())
        return {row.path: own.get(row.path, row) for row in now}

    def _file_rows(self) -> dict[str, FileRow]:
        with sound(self.file):
            rows = self._all(f"SELECT {FILE_COLUMNS} FROM file")
            return {row[0]: FileRow(*row) for row in rows}

    def unread(self) -> set[UnreadRow]:
        """Files of kinds that no reader reads: folder (as it is today), suffix, how many."""
        with told(self.file), sound(self.file):
            rows = file_table.unread(self._db)
            return {(self._places.of(folder), suffix, count) for folder, suffix, count in rows}

    def errors(self) -> dict[str, str]:
        """What could not be read: file as given (and which picture in it) -> why."""
        with told(self.file), sound(self.file):
            return file_table.errors(self._db)

    def document_id(self, content: str) -> int | None:
        """The document of these bytes, if they were read before."""
        found = self._all("SELECT id FROM document WHERE content = ?", (content,))
        return int(found[0][0]) if found else None

    def items(self, ids: Iterable[int], where: Where = EVERY) -> dict[int, ItemRow]:
        """Those items that are there, by id; of their files, those that are still on the disk come
        first, and of these those of a condition."""
        rows = self._in(f"SELECT {ITEM_COLUMNS} FROM item WHERE id IN ({{}})", list(ids))
        documents = sorted({row[-1] for row in rows})
        with told(self.file), sound(self.file):
            files = file_table.holders(self._db, documents, where, self._places)
            return {row[0]: item_of(row, files[row[-1]]) for row in rows}

    def _in(self, query: str, values: Sequence[int]) -> list[Any]:
        with told(self.file):
            return connection.select_in(self._db, query, values)

    def count(self, modality: Modality, first: int, last: int) -> int:
        """How many of the items first..last there are."""
        of = "FROM item WHERE modality = ? AND id BETWEEN ? AND ?"
        return int(self._all(f"SELECT COUNT(*) {of}", (modality, first, last))[0][0])

    def last_id(self, modality: Modality) -> int:
        """The newest item's id, or 0."""
        query = "SELECT IFNULL(MAX(id), 0) FROM item WHERE modality = ?"
        return int(self._all(query, (modality,))[0][0])

    def vectors(
        self, modality: Modality, first: int = 0, last: int = 2**62
    ) -> Iterator[tuple[Ids, Stored]]:
        """Vectors of the items first..last, in pieces: ids (n,) int64 ascending, (n, dim) fp16."""
        with told(self.file), sound(self.file):
            yield from item_vectors.in_pieces(self._db, modality, first, last, self.dim)

    def sample(self, modality: Modality, n: int) -> Vectors:
        """At most ``n`` vectors from all over a modality: (m, dim) float32, unit rows."""
        with told(self.file), sound(self.file):
            return item_vectors.sample(self._db, modality, n, self.dim)

    def passages(self) -> Iterator[tuple[int, int | None, str]]:
        """Document, page and body of every passage, in the order in which they are read."""
        with told(self.file):
            yield from self._db.execute(PASSAGES)

    def bodies(self, ids: Sequence[int]) -> dict[int, Body]:
        """What the items say, by id."""
        return {row[0]: Body(*row[1:]) for row in self._in(BODIES, ids)}

    def known_vectors(self, contents: Iterable[str]) -> dict[str, Vectors]:
        """Vectors already stored for the same embedded content: key -> (dim,) float32."""
        with told(self.file), sound(self.file):
            return item_vectors.known(self._db, contents)

    def segments(self, modality: Modality) -> list[SegmentRow]:
        """The segments of a modality, by the ids they cover."""
        query = "SELECT * FROM segment WHERE modality = ? ORDER BY first"
        with sound(self.file):
            return [SegmentRow(*row) for row in self._all(query, (modality,))]

    def dead(self, modality: Modality) -> Ids:
        """Ids (n,) int64, ascending, of items that are gone but may still stand in a segment."""
        return self._ids("SELECT id FROM dead WHERE modality = ? ORDER BY id", (modality,))

    def matching(self, modality: Modality, where: Where) -> Ids:
        """Ids (n,) int64, ascending, of the items that lie in certain files."""
        query = f"SELECT id FROM item WHERE modality = ? AND {words.holding(where)} ORDER BY id"
        return self._ids(query, (modality, *where.values))

    def _ids(self, query: str, values: Sequence[Any]) -> Ids:
        return np.array([row[0] for row in self._all(query, values)], np.int64)

    def word_search(
        self, query: str, modality: Modality, k: int, where: Where | None = None
    ) -> list[tuple[int, float]]:
        """BM25 over text, title, heading and file name: (id, score), best first, higher better."""
        with told(self.file):
            return words.search(self._db, query, modality, k, where)

    def word_coverage(self, query: str, ids: Sequence[int], columns: str = "") -> words.Coverage:
        """What each item has of a query's wording: see ``words.coverage``."""
        with told(self.file):
            return words.coverage(self._db, query, ids, columns)

    def counts(self) -> dict[str, int]:
        """Files, files that could not be read, passages, images."""
        with told(self.file):
            return file_table.counts(self._db)

    def check(self) -> None:
        """Read every page of the file, used or not.

        Raises:
            IndexDamaged: one of them is not what was written.
        """
        with told(self.file):
            connection.check(self._db, self.file)
