"""Files read by processes beside this one, a few at a time, in the order given.

Memory is bounded whatever the files hold: a reader that is ahead waits, with one file open and a
few fitted pictures in its queue.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from ragvis.documents.child import LENGTH, Message
from ragvis.documents.reader import kind_of
from ragvis.media.fit import Fit

SECONDS = 300.0  # that the text, or one picture, of a file may take
_GROUP = 4  # messages that are handed over together: a picture's file has two
_AHEAD = 8  # groups of one file that wait, at most
_WINDOW = 3  # jobs for each reader that are given out, two of which it may be asked for at once
_MOST = 16  # processes
_PAUSE = 0.01  # seconds between two looks whether a group has been taken
_PIPE = 2**20  # bytes a reader may be ahead in its pipe, where the system lets us ask: a picture
_PATIENCE = 2.0  # seconds for a thread that waits on a disk; it ends with the process
_MODULE = "ragvis.documents.child"
_ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")
Wanted = Callable[[T], str | None]  # the path to read for a job, or None: nothing to read


class Readers:
    """Some processes that read files; use it as a context."""

    def __init__(self, fit: Fit, most: int = _MOST) -> None:
        self._fit = asdict(fit)
        self._count = max(1, min(most, _MOST, _cores()))
        self._children = [_Child() for _ in range(self._count)]
        self._closed = threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._idle = 0  # readers without a file
        self._guard = threading.Lock()
        self._spare: _Spare = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, args=(child,), daemon=True)
            for child in self._children
        ]
        self._threads.append(threading.Thread(target=self._watch, daemon=True))

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for _child in self._children:
            self._jobs.put(None)
        for child in self._children:
            child.kill()
        for thread in self._threads:
            thread.join(_PATIENCE)
        for child in self._children:
            child.close()

    def read(self, jobs: Iterable[T], wanted: Wanted[T]) -> Iterator[tuple[T, Iterator[Message]]]:
        """Each job with its messages, which end with ``end`` or ``bad``: see ``child``.

        The pixels of a message are overwritten once the next one is asked for.

        Args:
            wanted: called beside this thread, before a job's file is read: the path to read, or
                None where it need not be. What it raises is raised by the job's iterator.
        """
        waiting: list[tuple[T, _Line]] = []
        rest = iter(jobs)
        while True:
            for job in islice(rest, _WINDOW * self._count - len(waiting)):
                line: _Line = queue.SimpleQueue()
                self._jobs.put((partial(wanted, job), line))
                waiting.append((job, line))
            if not waiting:
                return
            job, line = waiting.pop(0)
            yield job, _drain(line, self._spare)

    def _serve(self, child: _Child) -> None:
        lines: deque[_Line] = deque()  # of the files that the child has been asked for
        while not self._closed.is_set():
            if not lines:
                self._ask(child, self._next(), lines)
            if lines and child.is_soon_free:
                self._ask(child, self._one_more(), lines)
            if lines:
                self._answer(child, lines.popleft())

    def _next(self) -> _Job | None:
        with self._guard:
            self._idle += 1
        job = self._jobs.get()
        with self._guard:
            self._idle -= 1
        return job

    def _one_more(self) -> _Job | None:
        """A job that no idle reader is there for."""
        try:
            return self._jobs.get_nowait() if self._jobs.qsize() > self._idle else None
        except queue.Empty:
            return None

    def _ask(self, child: _Child, job: _Job | None, lines: deque[_Line]) -> None:
        if job is None:
            return
        wanted, line = job
        try:
            path = wanted()
            if path is None:
                self._put(line, [])
                return
            child.ask(path, self._fit)
            lines.append(line)
        # Whatever it was, the job's own thread is to hear of it.
        except BaseException as error:  # noqa: BLE001
            self._put(line, error)

    def _answer(self, child: _Child, line: _Line) -> None:
        messages = child.answer(self._fit, self._spare)
        try:
            while len(group := list(islice(messages, _GROUP))) == _GROUP:
                self._put(line, group)
            self._put(line, group)
        except BaseException as error:  # noqa: BLE001
            self._put(line, error)

    def _put(self, line: _Line, entry: list[Message] | BaseException) -> None:
        while line.qsize() >= _AHEAD:  # of a document with many pictures
            if self._closed.wait(_PAUSE):
                return
        line.put(entry)

    def _watch(self) -> None:
        """Kill a reader that hangs: its file is reported, and another takes its place."""
        while not self._closed.wait(1.0):
            for child in self._children:
                child.kill_if_late()


_Line = queue.SimpleQueue[list[Message] | BaseException]  # full groups, then one that is not
_Job = tuple[Callable[[], str | None], _Line]  # tells the path to read, or that there is none
_Spare = queue.SimpleQueue[bytearray]  # for pixels: new memory is slow to touch


def _drain(line: _Line, spare: _Spare) -> Iterator[Message]:
    while True:
        entry = line.get()
        if isinstance(entry, BaseException):
            raise entry
        for header, pixels in entry:
            yield header, pixels
            if isinstance(pixels, bytearray) and spare.qsize() < _MOST:
                spare.put(pixels)
        if len(entry) < _GROUP:
            return


class _Child:
    """A reading process, started when it is first needed and again when it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: deque[tuple[str, bytes]] = deque()  # paths and jobs that are not answered
        self._since: float | None = None  # when the message that is waited for was asked for
        self._late = False

    @property
    def is_soon_free(self) -> bool:
        """Whether another file may wait behind the one in hand: a picture takes a moment, a
        document or a TIFF of many pages may take minutes."""
        (path, _), *more = self._asked
        suffix = os.path.splitext(path)[1].lower()
        return not more and kind_of(path) == "picture" and suffix not in (".tif", ".tiff")

    def ask(self, path: str, fit: dict[str, Any]) -> None:
        """Have a file read, after one that was asked for before."""
        job = json.dumps({"path": path, "fit": fit}).encode() + b"\n"
        if not self._asked and self._process is not None and self._process.poll() is not None:
            self.close()  # it died between two files
        self._asked.append((path, job))
        if self._process is not None:
            with contextlib.suppress(OSError, ValueError):  # it is dead: its next answer tells
                _write(self._process, [job])

    def answer(self, fit: dict[str, Any], spare: _Spare) -> Iterator[Message]:
        """The messages of the file that was asked for first; a process that dies on it makes it a
        bad file."""
        self._late = False
        try:
            process = self._started()
            assert process.stdout is not None
            while True:
                self._since = time.monotonic()
                message = _receive(process.stdout, fit, spare)
                self._since = None
                yield message
                if message[0].get("passing"):
                    self.close()  # what it took may not come back
                if message[0]["kind"] in ("end", "bad"):
                    return
        except (EOFError, OSError) as error:
            reason = self._obituary(error)
            self.close()  # the next file gets a new process
            # It may not have been the file's own fault: it is tried again by the next run.
            yield {"kind": "bad", "reason": reason, "passing": True}, b""
        finally:
            self._since = None
            self._asked.popleft()

    def kill(self) -> None:
        """End it now."""
        process = self._process  # the serving thread may let go of it meanwhile
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End it, and let go of its pipes."""
        self.kill()
        if self._process is not None:
            for pipe in filter(None, (self._process.stdin, self._process.stdout)):
                with contextlib.suppress(OSError):  # what was left unsent to a dead process
                    pipe.close()
            self._process = None

    def kill_if_late(self) -> None:
        """End it if it has been silent for too long."""
        since = self._since
        if since is not None and time.monotonic() - since > SECONDS:
            self._late = True
            self.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        """The process, which has been sent whatever is asked."""
        if self._process is None:
            path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
            assert self._process.stdout is not None
            _widen(self._process.stdout)
            _write(self._process, (job for _, job in self._asked))
        return self._process

    def _obituary(self, error: Exception) -> str:
        if self._late:
            return f"reading it took over {SECONDS:.0f} s"
        if self._process is None:
            return f"no process could be started to read it: {error}"
        code = self._process.wait()
        try:
            return f"reading it crashed ({signal.Signals(-code).name})"
        except ValueError:
            return f"reading it failed (exit code {code})"


def _write(process: subprocess.Popen[bytes], jobs: Iterable[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.writelines(jobs)
    process.stdin.flush()


def _widen(pipe: IO[bytes]) -> None:
    """Room for a whole picture, so that neither side waits for the other in the middle of one."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # the user's pipes hold as much as they may
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


def _receive(stream: IO[bytes], fit: dict[str, Any], spare: _Spare) -> Message:
    (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
    header: dict[str, Any] = json.loads(_exactly(stream, length))
    size = header["bytes"]
    if size != fit["width"] * fit["height"] * 3:
        return header, _exactly(stream, size)
    return header, _filled(stream, size, spare)


def _filled(stream: IO[bytes], size: int, spare: _Spare) -> bytearray:
    try:
        pixels = spare.get_nowait()
    except queue.Empty:
        pixels = bytearray(size)
    if cast(io.BufferedReader, stream).readinto(pixels) < len(pixels):
        raise EOFError
    return pixels


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
