"""The reading process with a reader that dies, hangs or lies, by the file's name."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from ragvis.documents import child
from ragvis.documents.model import Document, Page


def read(path: Path) -> Document:
    if path.stem == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.stem == "hang":
        threading.Event().wait()
    if path.stem == "quit":
        os._exit(9)
    if path.stem == "devour":
        raise MemoryError
    if path.stem == "print":
        os.write(1, b"a parser prints this to stdout")
    return Document(path.stem, (Page(None, path.read_text()),))


child.read = read  # type: ignore[assignment]

if __name__ == "__main__":
    child.main()
