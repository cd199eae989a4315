"""What an index holds, in numbers, and what is wrong with its files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ragvis.errors import IndexDamaged
from ragvis.index.derive import Segments
from ragvis.index.update import gone_files
from ragvis.store.catalog import Catalog
from ragvis.store.features import FeatureFile
from ragvis.store.trouble import told
from ragvis.types import MODALITIES, IndexInfo


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
    features: dict[str, int]  # pictures stored as a model sees them, by its name
    errors: dict[str, str]  # file as given -> why it could not be read
    unread: dict[str, int] = field(default_factory=dict)  # suffix that no reader knows -> files
    gone: int = 0  # files that are not on the disk any more

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``ragvis status``."""
        return asdict(self)


def status_of(catalog: Catalog, info: IndexInfo, unread: dict[str, int]) -> IndexStatus:
    """The status as the catalog has it; within a snapshot."""
    with told(catalog.file):
        size = _size_of(catalog.folder)
    return IndexStatus(
        info.path,
        info.encoder,
        info.fingerprint,
        info.generation,
        bytes=size,
        features=FeatureFile(catalog.folder).counts(),
        errors=catalog.errors(),
        unread=unread,
        gone=len(gone_files(catalog.files())),
        **catalog.counts(),
    )


def problems_of(catalog: Catalog) -> list[str]:
    """What is wrong with derived files, every page and checksum read.

    Raises:
        IndexDamaged: the catalog itself is broken.
    """
    while True:
        generation = catalog.generation
        try:
            catalog.check()
            with catalog.snapshot():
                found = [p for m in MODALITIES for p in Segments(catalog, m).problems()]
        except IndexDamaged:
            if catalog.generation == generation:
                raise
            continue  # a writer was at work on what was being read
        if not found or catalog.generation == generation:
            return found + FeatureFile(catalog.folder).problems()


def _size_of(folder: Path) -> int:
    """Bytes of the files in a folder that a writer may be working in."""
    total = 0
    for file in folder.iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total
