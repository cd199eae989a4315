"""The index as other parts see it: open, add, remove, search primitives, status."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis import encoder as encoders
from ragvis.errors import IndexDamaged, IndexMismatch, StorageError, UsageError
from ragvis.index import background as bg
from ragvis.index.ingest import IndexReport, Ingest, OnFile, Plan, plan
from ragvis.index.walk import Walk, is_under
from ragvis.models import registry
from ragvis.store.catalog import CATALOG, Catalog, FileRow, ItemRow
from ragvis.store.lock import writer_lock
from ragvis.store.trouble import sound
from ragvis.store.vectors import VectorIndex
from ragvis.types import IndexInfo, Modality, Tell, silent

if TYPE_CHECKING:
    from ragvis.encoder import Encoder

MODALITIES: tuple[Modality, ...] = ("text", "image")


def _unseen(*_: object) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class View:
    """One committed generation, ready to be searched."""

    generation: int
    vectors: dict[Modality, VectorIndex]
    background: bg.Background

    def floor(self, kind: bg.QueryKind, modality: Modality) -> bg.Floor:
        """The calibration of one kind of query against one modality."""
        return self.background.get(f"{kind}>{modality}", bg.NO_FLOOR)


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What an index holds."""

    path: str
    encoder: str
    fingerprint: str
    generation: int
    files: int
    bad_files: int
    passages: int
    images: int
    bytes: int
    errors: dict[str, str]  # file as given -> why it could not be read

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``ragvis status``."""
        return asdict(self)


class Index:
    """A folder that says what is in a person's files.

    Open one with ``Index.open`` or make one with ``Index.create``. One process may write at a
    time; any number may read, each seeing whole commits.
    """

    def __init__(
        self, catalog: Catalog, encoder: Encoder | None = None, tell: Tell = silent
    ) -> None:
        self._catalog = catalog
        self._encoder = encoder
        self._tell = tell
        self._view: View | None = None
        self._guard = threading.RLock()

    @property
    def path(self) -> Path:
        """The index's folder."""
        return self._catalog.folder

    @classmethod
    def open(cls, path: str | Path, tell: Tell = silent) -> Index:
        """Open an existing index.

        Raises:
            IndexMissing, IndexMismatch, IndexDamaged: as their names say.
        """
        return cls(Catalog.open(Path(path)), tell=tell)

    @classmethod
    def create(cls, path: str | Path, encoder: str | None = None, tell: Tell = silent) -> Index:
        """Make an empty index, or open the one that is there.

        Args:
            path: its folder.
            encoder: a name for ``ragvis.encoder.load``; None takes the machine's default.

        Raises:
            IndexMismatch: the index there was made by another encoder.
            ModelUnavailable: the encoder's weights cannot be had.
        """
        folder = Path(path)
        made_by: Encoder | None = None
        if not (folder / CATALOG).is_file():
            _check_place(folder)
            made_by = encoders.load(encoder or registry.default_names(tell)[0], tell)
            settings = {"encoder": _lasting(made_by.name), "fingerprint": made_by.fingerprint}
            with writer_lock(folder):
                if not (folder / CATALOG).is_file():  # another process may have been first
                    Catalog.create(folder, {**settings, "dim": str(made_by.dim)}).close()
        index = cls.open(folder, tell)
        try:
            # The name alone is taken at its word: the weights are compared when they are used.
            named = index._catalog.meta()["encoder"]
            if made_by is None and encoder is not None and _lasting(encoder) != named:
                made_by = encoders.load(encoder, tell)
            if made_by is not None:
                index._check_encoder(made_by)
        except BaseException:
            index.close()
            raise
        return index

    def close(self) -> None:
        """Give its files back."""
        self._catalog.close()

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
            if self._encoder is None:
                self._check_encoder(encoders.load(self._catalog.meta()["encoder"], self._tell))
            assert self._encoder is not None
            return self._encoder

    def _check_encoder(self, loaded: Encoder) -> None:
        made_by = self._catalog.meta()
        if loaded.fingerprint != made_by["fingerprint"]:
            raise IndexMismatch(
                f"the index in {self.path} was made by the encoder {made_by['encoder']}"
                f" ({made_by['fingerprint'][:12]}), not by this {loaded.name}"
                f" ({loaded.fingerprint[:12]})",
                "Use that encoder, or make a new index: ragvis index PATH -i OTHER_FOLDER",
            )
        self._encoder = loaded

    # --- writing --------------------------------------------------------------------------

    def plan(self, paths: Iterable[str | Path]) -> Plan:
        """What ``add`` would do, found out by stat alone.

        Raises:
            UsageError: a path that is neither there nor in the index.
        """
        with self._guard:
            known = self._catalog.files()
        walk = Walk.of(paths, self.path)
        for root in walk.missing:
            if not any(is_under(path, root) for path in known):
                raise _no_such(root)
        return plan(walk, known)

    def preview(self, paths: Iterable[str | Path]) -> IndexReport:
        """What ``add`` would report, by size and time alone. Raises as ``plan``."""
        work = self.plan(paths)
        with self._guard:
            return _preview(work, self._catalog.files())

    @staticmethod
    def preview_new(path: str | Path, paths: Iterable[str | Path]) -> IndexReport:
        """``preview`` for an index that is not there yet.

        Raises:
            UsageError: a path that is not there.
        """
        walk = Walk.of(paths, Path(path))
        if walk.missing:
            raise _no_such(walk.missing[0])
        return _preview(plan(walk, {}), {})

    def add(self, paths: Iterable[str | Path], on_file: OnFile | None = None) -> IndexReport:
        """Make the index say what is in ``paths``: add new files, re-read changed ones, drop
        vanished ones. Can be stopped and called again at any time.

        Raises:
            IndexLocked: another process is writing.
            UsageError: a path that is neither there nor in the index.
            StorageError: the disk refuses; what was committed before is kept.
        """
        with self._writing() as writer:
            work = self.plan(paths)
            if work.to_read or work.to_remove:
                Ingest(writer, self.encoder).run(work, writer.files(), on_file or _unseen)
            self._derive(writer)
            return work.report

    def remove(self, paths: Iterable[str | Path]) -> int:
        """Forget the files under ``paths`` (the files themselves are untouched); how many.

        Raises:
            IndexLocked, StorageError: as ``add``.
        """
        with self._writing() as writer:
            walk = Walk(roots=[os.path.abspath(os.path.expanduser(p)) for p in paths])
            gone = [p for p in writer.files() if walk.covers(p)]
            if gone:
                with writer.commit():
                    writer.remove(gone)
            self._derive(writer)
            return len(gone)

    @contextmanager
    def _writing(self) -> Iterator[Catalog]:
        """A connection of its own for writing, so that this object's searches go on beside it."""
        with writer_lock(self.path), closing(Catalog.open(self.path, write=True)) as writer:
            try:
                yield writer
            finally:
                writer.fold()

    def _derive(self, writer: Catalog) -> None:
        """Write the FAISS files and the calibration, unless they are there and whole."""
        view, damaged = self._load(writer)
        derived = writer.derived()
        fresh = all(derived.get(m, ("", "", -1))[2] == view.generation for m in MODALITIES)
        if fresh and not damaged:
            return
        _, pictures = writer.vectors("image")
        measured = bg.measure(self.encoder, view.vectors, pictures)
        with writer.commit():
            writer.set_meta(background=measured)
        for modality, index in view.vectors.items():
            name = f"{modality}.{writer.generation}.faiss"
            writer.set_derived(modality, name, index.save(self.path / name))
        self._sweep({entry[0] for entry in writer.derived().values()})

    def _sweep(self, wanted: set[str]) -> None:
        """Older derived files, and what a killed writer left half-written."""
        for stale in (*self.path.glob("*.faiss"), *self.path.glob("*.part")):
            if stale.name not in wanted:
                stale.unlink(missing_ok=True)

    # --- reading --------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[View]:
        """One committed generation, for vectors, words and items alike, while it is entered."""
        with self._guard, self._catalog.snapshot():
            if self._view is None or self._view.generation != self._catalog.generation:
                self._view, damaged = self._load(self._catalog)
                for problem in damaged:
                    self._tell(f"{problem}; rebuilt in memory, and by the next `ragvis index`")
            yield self._view

    def items(self, ids: Iterable[int]) -> dict[int, ItemRow]:
        """Items with their files, by id."""
        with self._guard:
            return self._catalog.items(ids)

    def word_search(self, query: str, modality: Modality, k: int) -> list[tuple[int, float]]:
        """BM25: (id, score), best first."""
        with self._guard:
            return self._catalog.word_search(query, modality, k)

    def word_coverage(self, query: str, ids: Sequence[int]) -> dict[int, float]:
        """How much of a query's wording each item has, 0..1."""
        with self._guard:
            return self._catalog.word_coverage(query, ids)

    def info(self) -> IndexInfo:
        """The newest generation, and the encoder that made the index."""
        with self._guard, sound(self.path):
            meta = self._catalog.meta()
            generation = int(meta["generation"])
            return IndexInfo(str(self.path), generation, meta["encoder"], meta["fingerprint"])

    def status(self) -> IndexStatus:
        """Counts, encoder, size, and the files that could not be read."""
        with self._guard:
            info = self.info()
            errors = {f.shown: f.error for f in self._catalog.files().values() if f.error}
            counts = self._catalog.counts()
        return IndexStatus(
            info.path,
            info.encoder,
            info.fingerprint,
            info.generation,
            bytes=_size(self.path),
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
            self._catalog.check()
            return self._load(self._catalog)[1]

    def _load(self, catalog: Catalog) -> tuple[View, list[str]]:
        """The view of a catalog's newest generation, and the derived files that were no good."""
        damaged: list[str] = []
        with catalog.snapshot(), sound(self.path):
            meta = catalog.meta()
            generation = int(meta["generation"])
            vectors = {m: self._vectors(catalog, m, generation, damaged) for m in MODALITIES}
            background = bg.parse(meta.get("background", "{}"))
        return View(generation, vectors, background), damaged

    def _vectors(
        self, catalog: Catalog, modality: Modality, generation: int, damaged: list[str]
    ) -> VectorIndex:
        name, sha256, made_of = catalog.derived().get(modality, ("", "", -1))
        if made_of == generation:
            try:
                return VectorIndex.load(self.path / name, sha256)
            except IndexDamaged as damage:
                damaged.append(str(damage))
        return VectorIndex.build(*catalog.vectors(modality))


def _lasting(encoder: str) -> str:
    """A folder's name from the root, so that the index can be opened from anywhere."""
    return str(Path(encoder).resolve()) if Path(encoder).is_dir() else encoder


def _size(folder: Path) -> int:
    """Bytes of the files in a folder that a writer may be working in."""
    total = 0
    for file in folder.iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _no_such(path: str) -> UsageError:
    return UsageError(f"no such file or folder: {path}", "Check the spelling.")


def _preview(work: Plan, known: dict[str, FileRow]) -> IndexReport:
    report = work.report
    report.changed = sum(found.path in known for found in work.to_read)
    report.added = len(work.to_read) - report.changed
    return report


def _check_place(folder: Path) -> None:
    """Say that an index cannot be made there before an encoder is loaded for it."""
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise StorageError(f"no index can be made in {folder}", "Choose another folder with -i.")
