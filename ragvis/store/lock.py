"""One writer at a time. The lock is the operating system's, so a dead holder's is free."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ragvis.errors import IndexLocked
from ragvis.store.trouble import told


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the index for writing.

    Raises:
        IndexLocked: another process holds it; the message says which.
    """
    note = folder / "writer.json"
    lock = FileLock(folder / "writer.lock", timeout=0)
    with told(note):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise IndexLocked(
                f"another process is writing to {folder} ({_holder(note)})",
                "Wait until it has finished, or stop it; what it committed is kept.",
            ) from error
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        with told(note):
            part = note.with_suffix(".json.part")
            part.write_text(json.dumps({"pid": os.getpid(), "since": since}), "utf-8")
            os.replace(part, note)  # a reader finds it whole
        yield
    finally:
        with told(note):
            note.unlink(missing_ok=True)
        lock.release()


def _holder(note: Path) -> str:
    try:
        found = json.loads(note.read_text("utf-8"))
        return f"process {found['pid']}, since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that left no name"
