"""Pictures that a person names: a path, a URL, bytes, or one that is decoded already."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ragvis.errors import BadFile, UsageError
from ragvis.media import fetch, images
from ragvis.media.images import Picture


def load_picture(source: str | Path | bytes | Picture) -> Picture:
    """The picture, upright, RGB.

    Raises:
        UsageError: it cannot be opened, with the reason; FetchRefused for a URL.
    """
    if isinstance(source, Picture):
        return source.convert("RGB")
    try:
        if isinstance(source, str) and fetch.is_url(source):
            return images.open_picture(fetch.fetch(source))
        return images.open_picture(source if isinstance(source, bytes) else Path(source))
    except FileNotFoundError as error:
        raise UsageError(f"no such picture: {name_of(source)}", "Check the path.") from error
    except BadFile as error:
        hint = "Give a jpeg, png, webp, gif, bmp or tiff."
        raise UsageError(f"{name_of(source)} cannot be opened: {error}", hint) from error


def name_of(source: str | Path | bytes | Picture) -> str:
    """A file name to show for it."""
    if isinstance(source, (str, Path)):
        text = str(source).split("?")[0].rstrip("/")
        return text.replace("\\", "/").rsplit("/", 1)[-1] or "picture"
    return "picture"


def pixel_sha256(picture: Picture) -> str:
    """A name for pixels that have no file."""
    return hashlib.sha256(images.pixel_key(picture)).hexdigest()
