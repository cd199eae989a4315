"""Pictures that a person names: a path, a URL, bytes, or one that is decoded already."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ragvis._files import sha256_of_file
from ragvis.errors import BadFile, UsageError
from ragvis.media import fetch, images
from ragvis.media.fetch import is_url
from ragvis.media.images import Picture

__all__ = ["is_url", "load_picture", "name_of", "sha256_of"]


def load_picture(source: str | Path | bytes | Picture) -> Picture:
    """The picture, upright, RGB.

    Raises:
        UsageError: it cannot be opened, with the reason; FetchRefused for a URL.
    """
    try:
        if isinstance(source, Picture):
            if 0 in source.size:
                raise BadFile("it has no pixels")
            return images.rendered(lambda: source)
        return images.open_picture(_bytes_or_file(source))
    except BadFile as error:
        hint = error.hint or "Give a jpeg, png, webp, gif, bmp or tiff."
        raise UsageError(f"{name_of(source)} cannot be opened: {error}", hint) from error


def _bytes_or_file(source: object) -> bytes | Path:
    if isinstance(source, bytes):
        return source
    if not isinstance(source, str | os.PathLike):
        hint = "Give a path, a URL, bytes (of an open file, what it read()s), or a PIL image."
        raise UsageError(f"no picture: {type(source).__name__}", hint)
    if isinstance(source, str) and is_url(source):
        return fetch.fetch(source)
    if not Path(source).is_file():  # a FIFO would be waited on for ever
        raise UsageError(f"no such picture: {source}", "Check the path.")
    return Path(source)


def name_of(source: str | Path | bytes | Picture) -> str:
    """A file name to show for it."""
    if isinstance(source, (str, Path)):
        text = str(source)
        if is_url(text):
            text = text.split("?")[0].rstrip("/")
        return text.replace("\\", "/").rsplit("/", 1)[-1] or "picture"
    return "picture"


def sha256_of(source: str | Path | bytes | Picture, picture: Picture) -> str:
    """sha256 of the file or bytes that a picture came from; of its pixels where there are none."""
    if isinstance(source, (str, Path)) and not is_url(str(source)):
        return sha256_of_file(Path(source))
    data = source if isinstance(source, bytes) else images.pixel_key(picture)
    return hashlib.sha256(data).hexdigest()
