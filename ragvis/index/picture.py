"""What a hit stands for, read again from the user's own file."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ragvis._files import sha256_of_file
from ragvis.documents import load_figure
from ragvis.errors import BadFile, UsageError
from ragvis.media.source import load_picture, sha256_of
from ragvis.types import Hit

if TYPE_CHECKING:
    from ragvis.media.images import Picture

_MOST_TRIED = 8  # equal files, each of which may be large


def picture_of(hit: Hit) -> Picture:
    """Decode the picture that a hit stands for.

    Raises:
        BadFile: the file is gone, unreadable, or not what was indexed any more.
    """
    if hit.is_attached:
        return _attached(hit)
    return load_figure(check_unchanged(hit), hit.ordinal)


def check_unchanged(hit: Hit) -> Path:
    """The first of a hit's files that holds what was indexed.

    Raises:
        BadFile: each is gone, unreadable, or not what was indexed any more.
    """
    try:
        return unchanged_file((hit.file, *hit.files), hit.sha256)
    except BadFile as error:
        raise BadFile(f"{hit.path}: {error}") from error


def unchanged_file(files: Iterable[str], sha256: str) -> Path:
    """The first file of this content; at most a few are tried.

    Raises:
        BadFile: there is none; why the first is none.
    """
    troubles = []
    for file in islice(dict.fromkeys(files), _MOST_TRIED):
        try:
            if sha256_of_file(file) == sha256:
                return Path(file)
            troubles.append("it has changed since it was indexed")
        except OSError as error:
            troubles.append(error.strerror or str(error))
    raise BadFile(troubles[0])


def _attached(hit: Hit) -> Picture:
    try:
        picture = load_picture(hit.file)
        same = sha256_of(hit.file, picture) == hit.sha256
    except UsageError as error:  # it was a right argument once
        raise BadFile(str(error)) from error
    if not same:
        raise BadFile(f"{hit.path} is another picture now")
    return picture
