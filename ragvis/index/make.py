"""A new, empty index."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ragvis import encoder as encoders
from ragvis.errors import StorageError
from ragvis.index.upgrade import FORMAT_1
from ragvis.models import registry
from ragvis.store.catalog import CATALOG, Catalog
from ragvis.store.lock import writer_lock
from ragvis.types import Tell

if TYPE_CHECKING:
    from ragvis.encoder import Encoder


def is_there(folder: Path) -> bool:
    """Whether a folder has an index, of whatever format."""
    return any(os.path.isfile(folder / name) for name in (CATALOG, FORMAT_1))


def make(folder: Path, name: str | None, tell: Tell) -> Encoder:
    """Make an index for the encoder of this name, or None for the machine's default; that encoder.

    Raises:
        StorageError: it cannot be made there.
        ModelUnavailable: the encoder's weights cannot be had.
    """
    _check_place(folder)
    encoder = encoders.load(name or registry.default_names(tell)[0], tell)
    with writer_lock(folder):
        if not (folder / CATALOG).is_file():  # another process may have been first
            Catalog.create(folder, _settings(encoder)).close()
    return encoder


def absolute_name(encoder: str) -> str:
    """A folder's name from the root, so that the index can be opened from anywhere."""
    parts = encoder.split(encoders.SEPARATOR)
    return encoders.SEPARATOR.join(str(Path(p).resolve()) if Path(p).is_dir() else p for p in parts)


def _settings(encoder: Encoder) -> dict[str, str]:
    """What a new index remembers of its encoder."""
    return {
        "encoder": absolute_name(encoder.name),
        "fingerprint": encoder.fingerprint,
        "dim": str(encoder.dim),
        "fit": json.dumps(asdict(encoder.fit)),
    }


def _check_place(folder: Path) -> None:
    """Say that an index cannot be made there before an encoder is loaded for it."""
    there = next(p for p in (folder, *folder.absolute().parents) if os.path.exists(p))
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise StorageError(f"no index can be made in {folder}", "Choose another folder with -i.")
