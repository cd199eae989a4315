"""What several parts do with files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_of_file(file: Path) -> str:
    """Hex sha256 of a file, read in pieces.

    Raises:
        OSError: it cannot be read; each caller has its own word for that.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
