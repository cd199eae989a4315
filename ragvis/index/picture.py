"""The pixels of a retrieved picture, read again from the user's own file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ragvis._files import sha256_of_file
from ragvis.documents import load_figure
from ragvis.errors import BadFile
from ragvis.types import Hit

if TYPE_CHECKING:
    from ragvis.media.images import Picture


def picture_of(hit: Hit) -> Picture:
    """Decode the picture that a hit stands for.

    Raises:
        BadFile: the file is gone, unreadable, or not what was indexed any more.
    """
    file = Path(hit.file)
    try:
        found = sha256_of_file(file)
    except OSError as error:
        raise BadFile(f"{hit.path}: {error.strerror}") from error
    if found != hit.sha256:
        raise BadFile(f"{hit.path} has changed since it was indexed")
    return load_figure(file, hit.ordinal)
