"""A new, empty index."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ragvis import encoder as encoders
from ragvis.errors import IndexMismatch, StorageError
from ragvis.index.upgrade import FORMAT_1
from ragvis.models import pocket, registry
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


def new_name(encoder: str | None, text_encoder: str | None, tell: Tell) -> str | None:
    """The name of a new index's encoder; None leaves it to the machine."""
    if text_encoder is None:
        return encoder
    return _joined(encoder or registry.default_names(tell)[0], text_encoder)


def to_compare(
    folder: Path, named: str, encoder: str | None, text_encoder: str | None
) -> str | None:
    """The encoder that is asked for over an index that has one, where its weights have to be
    compared. The same name is taken at its word: weights are compared when they are used.

    Args:
        folder: the index's.
        named: its encoder's name.
        encoder, text_encoder: what is asked for; None leaves that part as it is.

    Raises:
        IndexMismatch: it has another name, and its weights are not certain to be here. Nothing
            is fetched to compare them.
    """
    if encoder is None:
        if text_encoder is None:
            return None
        encoder = named.partition(encoders.SEPARATOR)[0]
    asked = absolute_name(_joined(encoder, text_encoder))
    if asked == named:
        return None
    if not all(map(_is_here, asked.split(encoders.SEPARATOR))):
        raise mismatch(folder, named, asked)
    return asked


def mismatch(folder: Path, made_by: str, asked: str) -> IndexMismatch:
    """The error of another encoder than the one that made an index."""
    hint = (
        "Leave out --encoder, --text-encoder and their variables to use that one, or make a new"
        " index: ragvis index PATH -i OTHER_FOLDER (a pocket of another version is another encoder)"
    )
    said = f"the index in {folder} was made by the encoder {made_by}, not by {asked}"
    return IndexMismatch(said, hint)


def _joined(encoder: str, text_encoder: str | None) -> str:
    return encoder if text_encoder is None else f"{encoder}{encoders.SEPARATOR}{text_encoder}"


def _is_here(encoder: str) -> bool:
    """Whether loading it fetches nothing."""
    if encoder == registry.POCKET:
        return pocket.installed() is not None
    return Path(encoder).is_dir()


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
