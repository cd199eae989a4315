"""What several parts do with files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def sha256_of_file(file: Path) -> str:
    """Hex sha256 of a file, read in pieces.

    Raises:
        OSError: it cannot be read; each caller has its own word for that.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replace(part: Path, file: Path) -> None:
    """Rename a finished file into its place, so that it outlasts a power cut.

    Raises:
        OSError: the disk refuses.
    """
    flush(part)
    os.replace(part, file)
    if os.name != "nt":  # Windows has no handle on a folder to flush
        flush(file.parent)


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    # Windows flushes only what is open for writing
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
