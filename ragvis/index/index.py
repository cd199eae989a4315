"""The index as other parts see it: open, add, remove, search primitives, status."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis import encoder as encoders
from ragvis.errors import IndexDamaged, IndexMismatch, UsageError
from ragvis.index import background as bg
from ragvis.index.ingest import IndexReport, Ingest, OnFile, Plan, plan
from ragvis.index.walk import Walk
from ragvis.models import registry
from ragvis.store.catalog import Catalog, FileRow, ItemRow
from ragvis.store.lock import writer_lock
from ragvis.store.vectors import VectorIndex
from ragvis.types import IndexInfo, Modality

if TYPE_CHECKING:
    from ragvis.encoder import Encoder

Tell = Callable[[str], None]
MODALITIES: tuple[Modality, ...] = ("text", "image")


def _silent(_: str) -> None:
    """Notices are for a terminal; a library says nothing."""


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
        self, catalog: Catalog, encoder: Encoder | None = None, tell: Tell = _silent
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
    def open(cls, path: str | Path, tell: Tell = _silent) -> Index:
        """Open an existing index.

        Raises:
            IndexMissing, IndexMismatch, IndexDamaged: as their names say.
        """
        return cls(Catalog.open(Path(path)), tell=tell)

    @classmethod
    def create(cls, path: str | Path, encoder: str | None = None, tell: Tell = _silent) -> Index:
        """Make an empty index, or open the one that is there.

        Args:
            path: its folder.
            encoder: a name for ``ragvis.encoder.load``; None takes the machine's default.

        Raises:
            IndexMismatch: the index there was made by another encoder.
            ModelUnavailable: the encoder's weights cannot be had.
        """
        folder = Path(path)
        if (folder / "catalog.sqlite").is_file():
            index = cls.open(folder, tell)
            if encoder is not None:
                index._check_encoder(encoders.load(encoder, tell))
            return index
        made_by = encoders.load(encoder or registry.default_names(tell)[0], tell)
        settings = {"fingerprint": made_by.fingerprint, "dim": str(made_by.dim)}
        with writer_lock(folder):
            catalog = Catalog.create(folder, {"encoder": made_by.name, **settings})
        return cls(catalog, made_by, tell)

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
        walk = Walk.of(paths, self.path)
        known = self._catalog.files()
        for root in walk.missing:
            if not any(p == root or p.startswith(root + os.sep) for p in known):
                raise _no_such(root)
        return plan(walk, known)

    def preview(self, paths: Iterable[str | Path]) -> IndexReport:
        """What ``add`` would report, by size and time alone. Raises as ``plan``."""
        return _preview(self.plan(paths), self._catalog.files())

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
        """
        with writer_lock(self.path), self._writing():
            work = self.plan(paths)
            if not work.to_read and not work.to_remove:
                self._derive()
                return work.report
            ingest = Ingest(self._catalog, self.encoder)
            report = ingest.run(work, self._catalog.files(), on_file or _unseen)
            self._derive()
            return report

    def remove(self, paths: Iterable[str | Path]) -> int:
        """Forget the files under ``paths`` (the files themselves are untouched); how many."""
        with writer_lock(self.path), self._writing():
            walk = Walk(roots=[os.path.abspath(os.path.expanduser(p)) for p in paths])
            gone = [p for p in self._catalog.files() if walk.covers(p)]
            if gone:
                with self._catalog.commit():
                    self._catalog.remove(gone)
                self._derive()
            return len(gone)

    def _writing(self) -> _Writing:
        return _Writing(self)

    def _derive(self) -> None:
        """Write the FAISS files and the calibration for the generation as it stands."""
        view, derived = self._load(), self._catalog.derived()
        if all(derived.get(m, ("", "", -1))[2] == view.generation for m in MODALITIES):
            return
        _, pictures = self._catalog.vectors("image")
        measured = bg.measure(self.encoder, view.vectors, pictures)
        with self._catalog.commit():
            self._catalog.set_meta(background=measured)
        for modality, index in view.vectors.items():
            name = f"{modality}.{self._catalog.generation}.faiss"
            self._catalog.set_derived(modality, name, index.save(self.path / name))
        for stale in self.path.glob("*.faiss"):
            if stale.name not in {entry[0] for entry in self._catalog.derived().values()}:
                stale.unlink(missing_ok=True)

    # --- reading --------------------------------------------------------------------------

    def view(self) -> View:
        """The newest committed generation, loaded once and again when a writer commits."""
        with self._guard:
            if self._view is None or self._view.generation != self._catalog.generation:
                self._view = self._load()
            return self._view

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
        """What an answer says of the index it came from."""
        meta = self._catalog.meta()
        generation = int(meta["generation"])
        return IndexInfo(str(self.path), generation, meta["encoder"], meta["fingerprint"])

    def status(self) -> IndexStatus:
        """Counts, encoder, size, and the files that could not be read."""
        info = self.info()
        errors = {f.shown: f.error for f in self._catalog.files().values() if f.error}
        size = sum(f.stat().st_size for f in self.path.iterdir() if f.is_file())
        counts = self._catalog.counts()
        return IndexStatus(
            info.path,
            info.encoder,
            info.fingerprint,
            info.generation,
            bytes=size,
            errors=errors,
            **counts,
        )

    def verify(self) -> None:
        """Read every page and checksum.

        Raises:
            IndexDamaged: the catalog is broken. Derived files that are wrong are rebuilt by the
                next ``add``, and never read meanwhile.
        """
        self._catalog.check()
        self._load()

    def _load(self) -> View:
        with self._catalog.snapshot():
            meta = self._catalog.meta()
            generation = int(meta["generation"])
            derived = self._catalog.derived()
            vectors = {m: self._load_vectors(m, generation, derived.get(m)) for m in MODALITIES}
        return View(generation, vectors, bg.parse(meta.get("background", "{}")))

    def _load_vectors(
        self, modality: Modality, generation: int, derived: tuple[str, str, int] | None
    ) -> VectorIndex:
        if derived is not None and derived[2] == generation:
            try:
                return VectorIndex.load(self.path / derived[0], derived[1])
            except IndexDamaged as damage:
                self._tell(f"{damage}; rebuilt from the catalog")
        return VectorIndex.build(*self._catalog.vectors(modality))


def _no_such(path: str) -> UsageError:
    return UsageError(f"no such file or folder: {path}", "Check the spelling.")


def _preview(work: Plan, known: dict[str, FileRow]) -> IndexReport:
    report = work.report
    report.changed = sum(found.path in known for found in work.to_read)
    report.added = len(work.to_read) - report.changed
    return report


class _Writing:
    """Reads and writes through one read-write connection while it is entered. The read-only one
    is closed meanwhile: SQLite folds its log into the catalog when the last writer closes last."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __enter__(self) -> None:
        self._index._catalog.close()
        self._index._catalog = Catalog.open(self._index.path, write=True)

    def __exit__(self, *_: object) -> None:
        self._index._catalog.close()
        self._index._catalog = Catalog.open(self._index.path)
        self._index._view = None
