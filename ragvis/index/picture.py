"""What a hit stands for, read again from the user's own file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ragvis._files import sha256_of_file
from ragvis.documents import load_figure
from ragvis.errors import BadFile, UsageError
from ragvis.media.source import load_picture, sha256_of
from ragvis.types import Hit

if TYPE_CHECKING:
    from ragvis.media.images import Picture


def picture_of(hit: Hit) -> Picture:
    """Decode the picture that a hit stands for.

    Raises:
        BadFile: the file is gone, unreadable, or not what was indexed any more.
    """
    if hit.is_attached:
        return _attached(hit)
    check_unchanged(hit)
    return load_figure(Path(hit.file), hit.ordinal)


def check_unchanged(hit: Hit) -> None:
    """Raises:
    BadFile: the file is gone, unreadable, or not what was indexed any more.
    """
    try:
        found = sha256_of_file(Path(hit.file))
    except OSError as error:
        raise BadFile(f"{hit.path}: {error.strerror}") from error
    if found != hit.sha256:
        raise BadFile(f"{hit.path} has changed since it was indexed")


def _attached(hit: Hit) -> Picture:
    try:
        picture = load_picture(hit.file)
        same = sha256_of(hit.file, picture) == hit.sha256
    except UsageError as error:  # it was a right argument once
        raise BadFile(str(error)) from error
    if not same:
        raise BadFile(f"{hit.path} is another picture now")
    return picture
