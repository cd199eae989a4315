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
from ragvis._arguments import checked_paths
from ragvis.errors import IndexDamaged, IndexMismatch, UsageError
from ragvis.index.boilerplate import Boilerplate
from ragvis.index.calibration import Calibration
from ragvis.index.derive import Derivation, Segments, is_in_place
from ragvis.index.ingest import Ingest, OnFile
from ragvis.index.make import absolute_name, is_there, make
from ragvis.index.plan import IndexReport, Plan, plan
from ragvis.index.status import IndexStatus, size_of
from ragvis.index.upgrade import upgrade
from ragvis.index.walk import Paths, Walk, absolute, index_folder, is_under
from ragvis.media.fit import Fit
from ragvis.models import registry
from ragvis.store.catalog import CATALOG, Catalog
from ragvis.store.features import FeatureFile
from ragvis.store.lock import writer_lock
from ragvis.store.rows import EVERY, Body, FileRow, ItemRow, Where
from ragvis.store.trouble import sound, told
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
        if text_encoder is not None:
            clip = encoder or registry.default_names(tell)[0]
            encoder = f"{clip}{encoders.SEPARATOR}{text_encoder}"
        made_by = None if is_there(folder) else make(folder, encoder, tell)
        index = cls.open(path, tell)
        try:
            # The name alone is taken at its word: the weights are compared when they are used.
            named = index._catalog.meta()["encoder"]
            if made_by is None and encoder is not None and absolute_name(encoder) != named:
                made_by = encoders.load(encoder, tell)
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
            raise IndexMismatch(
                f"the index in {self.path} was made by the encoder {made_by['encoder']}"
                f" ({made_by['fingerprint'][:12]}), not by this {loaded.name}"
                f" ({loaded.fingerprint[:12]})",
                "Use that encoder, or make a new index: ragvis index PATH -i OTHER_FOLDER"
                " (a pocket of another version is another encoder)",
            )
        self._encoder = loaded

    # --- writing --------------------------------------------------------------------------

    def plan(self, paths: Paths, known: dict[str, FileRow]) -> Plan:
        """What ``add`` would do, found out by stat alone.

        Raises:
            UsageError: a path that is neither there nor in the index.
        """
        walk = Walk.of(paths, self.path)
        for root in walk.missing:
            if not any(is_under(path, root) for path in known):
                raise _no_such(root)
        return plan(walk, known)

    def preview(self, paths: Paths) -> IndexReport:
        """What ``add`` would report, by size and time alone. Raises as ``plan``."""
        with self._guard:
            known = self._catalog.files()
        return self.plan(paths, known).preview(known)

    @staticmethod
    def preview_new(path: str | Path, paths: Paths) -> IndexReport:
        """``preview`` for an index that is not there yet.

        Raises:
            UsageError: a path that is not there.
        """
        walk = Walk.of(paths, index_folder(path))
        if walk.missing:
            raise _no_such(walk.missing[0])
        return plan(walk, {}).preview({})

    def add(self, paths: Paths, on_file: OnFile | None = None) -> IndexReport:
        """Make the index say what is in ``paths``: add new files, re-read changed ones, drop
        vanished ones. Can be stopped and called again at any time.

        Raises:
            IndexLocked: another process is writing.
            UsageError: a path that is neither there nor in the index.
            StorageError: the disk refuses; what was committed before is kept.
        """
        with self._writing() as writer:
            known = writer.files()
            work = self.plan(paths, known)
            derivation = Derivation(writer, lambda: self.encoder, self._tell)
            if work.to_read or work.to_remove or work.respelled:
                fit = self._fit(writer)
                ingest = Ingest(writer, lambda: self.encoder, fit, derivation.on_commit)
                ingest.run(work, known, on_file or _unseen)
            derivation.finish()
            return work.report

    def watch(self, paths: Paths, on_file: OnFile | None = None) -> Iterator[IndexReport]:
        """``add``, and again after every change to ``paths``, for ever: a report each time.

        Raises:
            as ``add``; but another writer is waited for once the watching has begun.
        """
        from ragvis.index.watch import watch

        yield from watch(self, paths, on_file, self._tell)

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
            walk = Walk(roots=[absolute(path) for path in checked_paths(paths)])
            gone = [p for p in writer.files() if walk.covers(p)]
            if gone:
                with writer.commit():
                    writer.remove(gone)
            Derivation(writer, lambda: self.encoder, self._tell).finish()
            return len(gone)

    @contextmanager
    def _writing(self) -> Iterator[Catalog]:
        """A connection of its own for writing, so that this object's searches go on beside it."""
        with self._guard:
            self._catalog.meta()  # raises where it is closed or gone
        with writer_lock(self.path), closing(Catalog.open(self.path, write=True)) as writer:
            try:
                yield writer
            finally:
                writer.fold()

    # --- reading --------------------------------------------------------------------------

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
            measured, fingerprint = meta.get("calibration"), meta["fingerprint"]
            calibration = Calibration.parse(measured) if measured else Calibration()
            found = meta.get("boilerplate")
            boilerplate = Boilerplate.parse(found) if found else Boilerplate()
        of = {m: Segments(self._catalog, m, self._tell) for m in MODALITIES}
        vectors = {m: of[m].open(rows[m], for_readers=True) for m in MODALITIES}
        return View(generation, fingerprint, vectors, calibration, boilerplate)

    def items(self, ids: Iterable[int], where: Where = EVERY) -> dict[int, ItemRow]:
        """Items with their files, those of a condition first, by id."""
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

    def info(self) -> IndexInfo:
        """The newest generation, and the encoder that made the index."""
        with self._guard, sound(self.path):
            meta = self._catalog.meta()
            generation = int(meta["generation"])
            return IndexInfo(self._shown, generation, meta["encoder"], meta["fingerprint"])

    def status(self) -> IndexStatus:
        """Counts, encoder, size, and the files that could not be read."""
        with self._guard, self._catalog.snapshot():
            info = self.info()
            errors = self._catalog.errors()
            counts = self._catalog.counts()
        with told(self.path / CATALOG):
            size = size_of(self.path)
        return IndexStatus(
            info.path,
            info.encoder,
            info.fingerprint,
            info.generation,
            bytes=size,
            features=FeatureFile(self.path).counts(),
            errors=errors,
            **counts,
        )

    def verify(self) -> list[str]:
        """Read every page and checksum; what is wrong with derived files, which the next ``add``
        writes anew.

        Raises:
            IndexDamaged: the catalog itself is broken.
        """
        with self._guard:
            while True:
                generation = self._catalog.generation
                try:
                    self._catalog.check()
                    with self._catalog.snapshot():
                        found = [
                            p for m in MODALITIES for p in Segments(self._catalog, m).problems()
                        ]
                except IndexDamaged:
                    if self._catalog.generation == generation:
                        raise
                    continue  # a writer was at work on what was being read
                if not found or self._catalog.generation == generation:
                    return found + FeatureFile(self.path).problems()


def _no_such(path: str) -> UsageError:
    return UsageError(f"no such file or folder: {path}", "Check the spelling.")
