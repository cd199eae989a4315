"""One door to all readers: by suffix, with a size limit, and BadFile for whatever goes wrong."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ragvis.documents.model import Document
from ragvis.documents.unread import remedy_of
from ragvis.errors import BadFile

if TYPE_CHECKING:
    from ragvis.media.images import Picture

_KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp"), "picture"),
    **dict.fromkeys((".png", ".apng", ".webp", ".gif", ".bmp", ".dib"), "picture"),
    **dict.fromkeys((".tif", ".tiff"), "picture"),
    **dict.fromkeys((".txt", ".text", ".log"), "text"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".pdf": "pdf",
    ".docx": "docx",
}
SUFFIXES = frozenset(_KINDS)
_MODULES = {"markdown": "text"}  # each kind is read by read(path) of the module of its name
MAX_BYTES = 512 * 2**20  # of one file


def kind_of(path: Path | str) -> str | None:
    """The kind of document that the suffix promises, or None where it is not ours."""
    return _KINDS.get(os.path.splitext(path)[1].lower())


def suffixes_of(kind: str) -> tuple[str, ...]:
    """The suffixes that a kind of document (``picture``) or a suffix without its dot means."""
    return tuple(s for s, k in _KINDS.items() if kind in (k, s.removeprefix(".")))


def read(path: Path) -> Document:
    """Read one file.

    Raises:
        BadFile: it cannot be read; the message is the reason.
    """
    kind = kind_of(path)
    if kind is None:
        remedy = f": {said}" if (said := remedy_of(path.suffix)) else ""
        raise BadFile(f"{path.suffix or 'no suffix'} is not a supported kind of file{remedy}")
    try:
        size = path.stat().st_size
        if size == 0:
            raise BadFile("the file is empty")
        if size > MAX_BYTES:
            raise BadFile(f"over {MAX_BYTES // 2**20} MiB")
        document: Document = _reader(kind).read(path)
    except BadFile:
        raise
    # Parsers of hostile bytes raise whatever they stumble over; the reason is reported.
    except (Exception, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadFile(reason) from error
    return document


def _reader(kind: str) -> ModuleType:
    return importlib.import_module(f"ragvis.documents.{_MODULES.get(kind, kind)}")


def load_figure(path: Path, ordinal: int) -> Picture:
    """Decode one picture of a file again.

    Raises:
        BadFile: the file cannot be read, or has no such picture any more.
    """
    for figure in read(path).figures:
        if figure.ordinal == ordinal:
            return figure.open()
    raise BadFile(f"it has no picture {ordinal + 1} any more")
