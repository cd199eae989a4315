"""The process that reads hostile files: ``python -m ragvis.documents.child``.

Each line on its stdin asks for one file; what was read goes to its stdout as messages, each a
length, a JSON header of that length, and as many bytes of pixels as the header's ``bytes`` says.
A parser that crashes, hangs or devours memory takes this process with it and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ragvis.documents.model import Document, Figure, short, title_from_name
from ragvis.documents.reader import read
from ragvis.errors import BadFile
from ragvis.media.fit import Fit

LENGTH = struct.Struct("<I")
_NICE = 5
_MEMORY = 6 * 2**30  # bytes that one reader may take, where the system can say so
Message = tuple[dict[str, Any], bytes | bytearray]


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _limit_memory()
    if hasattr(os, "nice"):
        os.nice(_NICE)  # the encoder waits for its slowest thread: readers take what it leaves
    # A library that prints must not get between the messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        for line in sys.stdin.buffer:
            job = json.loads(line)
            for message in messages(Path(job["path"]), Fit(**job["fit"])):
                _send(out, *message)


def messages(path: Path, fit: Fit) -> Iterator[Message]:
    """What one file holds: text if there is any, pictures, then the end; or why it is bad."""
    try:
        document = read(path)
        own = "" if document.title == title_from_name(path) else short(document.title)
        about = {"metadata": dict(document.metadata), "unread": dict(document.unread)}
        if own or document.pages or any(about.values()):  # a picture's file has none of them
            yield {"kind": "text", "title": own, "pages": _pages_of(document), **about}, b""
        for figure in document.figures:
            yield _picture_of(figure, fit)
    except BadFile as error:
        yield {"kind": "bad", "reason": str(error)}, b""
    except MemoryError:
        reason = f"reading it needs over {_MEMORY >> 30} GiB of memory"
        yield {"kind": "bad", "reason": reason, "passing": True}, b""
    else:
        yield {"kind": "end"}, b""


def _pages_of(document: Document) -> list[list[Any]]:
    return [
        [page.number, page.text, [[h.start, h.title] for h in page.headings]]
        for page in document.pages
    ]


def _picture_of(figure: Figure, fit: Fit) -> Message:
    from ragvis.media.images import fitted

    about = {
        "kind": "picture",
        "ordinal": figure.ordinal,
        "page": figure.page,
        "bbox": figure.bbox,
        "caption": figure.caption or "",
        "section": short(figure.section),
        "near": figure.near,
    }
    try:
        pixels = fitted(figure.open(fit=fit), fit)
    except BadFile as error:
        return {**about, "error": str(error)}, b""
    return {**about, "sha256": hashlib.sha256(pixels).hexdigest()}, pixels


def _send(out: BinaryIO, header: dict[str, Any], pixels: bytes | bytearray) -> None:
    data = json.dumps({**header, "bytes": len(pixels)}).encode()
    out.write(LENGTH.pack(len(data)) + data)
    out.write(pixels)
    out.flush()


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main()
