"""The index as other parts see it: open, add, remove, search primitives, status."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragvis import encoder as encoders
from ragvis.index.boilerplate import Boilerplate
from ragvis.index.calibration import Calibration
from ragvis.index.derive import Derivation, Segments, is_in_place
from ragvis.index.ingest import Ingest, OnFile
from ragvis.index.make import is_there, make, mismatch, new_name, to_compare
from ragvis.index.plan import IndexReport
from ragvis.index.status import IndexStatus, problems_of, status_of
from ragvis.index.update import drop_gone, gone_files, plan_for, question, unread_there
from ragvis.index.upgrade import upgrade
from ragvis.index.walk import Paths, Walk, index_folder, roots_of
from ragvis.media.fit import Fit
from ragvis.store.catalog import Catalog
from ragvis.store.file_table import UnreadRow
from ragvis.store.lock import writer_lock
from ragvis.store.places import is_bare
from ragvis.store.rows import EVERY, Body, FileRow, ItemRow, Where
from ragvis.store.trouble import sound
from ragvis.store.vector_index import VectorIndex
from ragvis.store.words import Shared
from ragvis.types import MODALITIES, IndexInfo, Modality, Tell, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.encoder import Encoder

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]


def _unseen(*_: object) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class View:
    """One committed generation, ready to be searched."""

    generation: int
    fingerprint: str  # of the encoder
    vectors: dict[Modality, VectorIndex]
    calibration: Calibration
    boilerplate: Boilerplate


class Index:
    """A folder that says what is in a person's files.

    Open one with ``Index.open`` or make one with ``Index.create``. One process may write at a
    time; any number may read, each seeing whole commits.
    """

    def __init__(self, catalog: Catalog, tell: Tell, shown: str) -> None:
        self._opened = catalog
        self._shown = shown  # the folder as it was given
        self._encoder: Encoder | None = None
        self._tell = tell
        self._view: View | None = None
        self._guard = threading.RLock()

    @property
    def path(self) -> Path:
        """The index's folder."""
        return self._opened.folder

    @property
    def _catalog(self) -> Catalog:
        """The folder's catalog; opened anew where another one was put into its place.

        Raises:
            as ``open``.
        """
        if self._opened.is_replaced():
            upgrade(self.path, self._tell)
            catalog = Catalog.open(self.path)
            self._opened.close()
            self._opened, self._view = catalog, None
            known = self._encoder
            if known is not None and known.fingerprint != catalog.meta()["fingerprint"]:
                self._encoder = None
        return self._opened

    @classmethod
    def open(cls, path: str | Path, tell: Tell = silent) -> Index:
        """Open an existing index.

        Raises:
            IndexMissing, IndexMismatch, IndexDamaged: as their names say.
            IndexLocked, StorageError: it is of an older format and cannot be changed now.
        """
        folder = index_folder(path)
        upgrade(folder, tell)
        return cls(Catalog.open(folder), tell, str(path))

    @classmethod
    def create(
        cls,
        path: str | Path,
        encoder: str | Path | None = None,
        tell: Tell = silent,
        *,
        text_encoder: str | None = None,
    ) -> Index:
        """Make an empty index, or open the one that is there.

        Args:
            path: its folder.
            encoder: a name or folder for ``ragvis.encoder.load``; None takes the machine's default.
            text_encoder: a sentence-transformers model (id or folder) for texts beside it.

        Raises:
            IndexMismatch: the index there was made by another encoder.
            ModelUnavailable: the encoder's weights cannot be had.
        """
        folder, encoder = index_folder(path), None if encoder is None else str(encoder)
        new = not is_there(folder)
        made_by = make(folder, new_name(encoder, text_encoder, tell), tell) if new else None
        index = cls.open(path, tell)
        try:
            if not new:
                named = index._catalog.meta()["encoder"]
                other = to_compare(folder, named, encoder, text_encoder)
                made_by = encoders.load(other, tell) if other else None
            if made_by is not None:
                index._check_encoder(made_by)
        except BaseException:
            index.close()
            raise
        return index

    def close(self) -> None:
        """Give its files back, after what other threads are reading from them."""
        with self._guard:
            self._opened.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def encoder(self) -> Encoder:
        """The encoder that made this index, loaded on first use.

        Raises:
            IndexMismatch: what its name loads today has other weights.
        """
        with self._guard:
            catalog = self._catalog  # first: another index may have another encoder
            if self._encoder is None:
                self._check_encoder(encoders.load(catalog.meta()["encoder"], self._tell))
            assert self._encoder is not None
            return self._encoder

    @property
    def loaded_encoder(self) -> Encoder | None:
        """The encoder, where it is loaded already."""
        return self._encoder

    def _check_encoder(self, loaded: Encoder) -> None:
        made_by = self._catalog.meta()
        if loaded.fingerprint != made_by["fingerprint"]:
            other = f"{made_by['encoder']} ({made_by['fingerprint'][:12]})"
            this = f"this {loaded.name} ({loaded.fingerprint[:12]})"
            raise mismatch(self.path, other, this)
        self._encoder = loaded

    def preview(self, paths: Paths, *, prune: bool = False) -> IndexReport:
        """What ``add`` would report, by size and time alone.

        Raises:
            UsageError: a path that is neither there nor in the index.
        """
        with self._guard:
            known = self._catalog.files()
        return plan_for(paths, self.path, known).preview(prune)

    @staticmethod
    def preview_new(path: str | Path, paths: Paths) -> IndexReport:
        """``preview`` for an index that is not there yet. Raises as it."""
        return plan_for(paths, index_folder(path), {}).preview()

    def add(
        self, paths: Paths, on_file: OnFile | None = None, *, prune: bool = False
    ) -> IndexReport:
        """Make the index say what is in ``paths``: add new files, re-read changed ones, drop
        vanished ones. Can be stopped and called again at any time.

        Args:
            paths: files and folders.
            on_file: called before each file that is read with how many are done, of how many, and
                the file.
            prune: drop vanished files also where more than half of the index, or of what it knows
                in a folder, went with the folders around it.

        Raises:
            IndexLocked: another process is writing.
            UsageError: a path that is neither there nor in the index.
            FilesGone: without ``prune``, files were kept that it would have dropped; everything
                else was done, and its ``report`` tells of that.
            StorageError: the disk refuses; what was committed before is kept.
        """
        with self._writing() as writer:
            work = plan_for(paths, self.path, writer.files())
            derivation = Derivation(writer, lambda: self.encoder, self._tell)
            moved: set[str] = set()
            contents: set[str] = set()
            if work.to_read:
                fit = self._fit(writer)
                ingest = Ingest(work, writer, lambda: self.encoder, fit, derivation.on_commit)
                ingest.run(on_file or _unseen)
                moved, contents = ingest.moved, ingest.contents
            kept = drop_gone(writer, work, moved, contents, prune)
            derivation.finish()
        if kept.paths:
            raise question(kept, work.report)
        return work.report

    def watch(
        self, paths: Paths, on_file: OnFile | None = None, *, prune: bool = False
    ) -> Iterator[IndexReport]:
        """``add``, and again after every change to ``paths``, for ever: a report each time.

        Raises:
            as ``add``; but another writer is waited for once the watching has begun, and files that
            are gone are kept and told of.
        """
        from ragvis.index.watch import watch

        yield from watch(self, paths, on_file, self._tell, prune)

    def _fit(self, writer: Catalog) -> Fit:
        """How the encoder takes pictures, known before it is loaded."""
        known = writer.meta().get("fit")
        if known is None:  # the index was made in an older format
            with writer.commit():
                writer.set_meta(fit=json.dumps(asdict(self.encoder.fit)))
            return self.encoder.fit
        with sound(self.path):
            return Fit(**json.loads(known))

    def remove(self, paths: Paths) -> int:
        """Forget the files under ``paths`` (the files themselves are untouched); how many.

        Raises:
            IndexLocked, StorageError: as ``add``.
        """
        with self._writing() as writer:
            walk = Walk(roots=roots_of(paths))
            unread = {row for row in writer.unread() if walk.covers_folder(row[0])}
            return self._forget(writer, filter(walk.covers, writer.files()), unread)

    def prune(self, paths: Paths | None = None) -> int:
        """Forget the files under ``paths``, or all those of the index, that are not on the disk any
        more; how many.

        Raises:
            IndexLocked, StorageError: as ``add``.
        """
        with self._writing() as writer:
            unread = set() if paths else {row for row in writer.unread() if is_bare(row[0])}
            return self._forget(writer, gone_files(writer.files(), paths), unread)

    def _forget(self, writer: Catalog, files: Iterable[str], unread: set[UnreadRow]) -> int:
        gone = list(files)
        if gone or unread:
            with writer.commit():
                writer.remove(gone)
                writer.change_unread(unread, ())
        Derivation(writer, lambda: self.encoder, self._tell).finish()
        return len(gone)

    @contextmanager
    def _writing(self) -> Iterator[Catalog]:
        """A connection of its own for writing, so that this object's searches go on beside it."""
        with self._guard:
            self._catalog.meta()  # raises where it is closed or gone
        with writer_lock(self.path), closing(Catalog.open(self.path, write=True)) as writer:
            try:
                writer.follow()
                yield writer
            finally:
                writer.fold()

    @contextmanager
    def reading(self) -> Iterator[View]:
        """One committed generation, for vectors, words and items alike, while it is entered."""
        with self._guard:
            moved_on: int | None = None
            while True:
                with self._catalog.snapshot():
                    generation = self._catalog.generation
                    view = self._view
                    if view is None or view.generation != generation:
                        view = self._view_of(generation, generation == moved_on)
                    if view is not None:
                        self._view = view
                        yield view
                        return
                    # A writer may have dropped the files since; its commit names the new ones.
                    moved_on = generation

    def _view_of(self, generation: int, even_if_missing: bool) -> View | None:
        rows = {m: self._catalog.segments(m) for m in MODALITIES}
        there = all(is_in_place(self.path, row) for own in rows.values() for row in own)
        if not there and not even_if_missing:
            return None
        with sound(self.path):
            meta = self._catalog.meta()
            fingerprint = meta["fingerprint"]
            calibration = Calibration.parse(meta.get("calibration"))
            boilerplate = Boilerplate.parse(meta.get("boilerplate"))
        of = {m: Segments(self._catalog, m, self._tell) for m in MODALITIES}
        vectors = {m: of[m].open(rows[m], for_readers=True) for m in MODALITIES}
        return View(generation, fingerprint, vectors, calibration, boilerplate)

    def items(self, ids: Iterable[int], where: Where = EVERY) -> dict[int, ItemRow]:
        """Items by id, with their files: those that are still there first, then those of a
        condition."""
        with self._guard:
            return self._catalog.items(ids, where)

    def matching(self, modality: Modality, where: Where) -> Ids:
        """Ids (n,) int64, ascending, of the items that lie in certain files."""
        with self._guard:
            return self._catalog.matching(modality, where)

    def word_search(
        self, query: str, modality: Modality, k: int, where: Where | None = None
    ) -> list[tuple[int, float]]:
        """BM25: (id, score), best first."""
        with self._guard:
            return self._catalog.word_search(query, modality, k, where)

    def word_coverage(self, query: str, ids: Sequence[int], columns: str = "") -> dict[int, Shared]:
        """What each item has of a query's wording, in some columns alone where these are named."""
        with self._guard:
            return self._catalog.word_coverage(query, ids, columns)

    def bodies(self, ids: Sequence[int]) -> dict[int, Body]:
        """What the items say, by id."""
        with self._guard:
            return self._catalog.bodies(ids)

    def files(self) -> list[FileRow]:
        """Every file of the index, those too that could not be read (``error`` says why)."""
        with self._guard:
            return list(self._catalog.files().values())

    def info(self) -> IndexInfo:
        """The newest generation, and the encoder that made the index."""
        with self._guard, sound(self.path):
            meta = self._catalog.meta()
            generation = int(meta["generation"])
            return IndexInfo(self._shown, generation, meta["encoder"], meta["fingerprint"])

    def unread(self) -> dict[str, int]:
        """How many files of kinds that no reader reads lie in the indexed folders, by suffix
        ("" for none); largest counts first."""
        with self._guard:
            rows = self._catalog.unread()
        return unread_there(rows)

    def counts(self) -> dict[str, int]:
        """How many ``files``, ``bad_files`` (could not be read), ``passages`` and ``images``."""
        with self._guard:
            return self._catalog.counts()

    def status(self) -> IndexStatus:
        """Counts, encoder, size, the files that could not be read, and those that are gone."""
        with self._guard, self._catalog.snapshot():
            return status_of(self._catalog, self.info(), self.unread())

    def verify(self) -> list[str]:
        """Read every page and checksum; what is wrong with derived files, which the next ``add``
        writes anew.

        Raises:
            IndexDamaged: the catalog itself is broken.
        """
        with self._guard:
            return problems_of(self._catalog)
