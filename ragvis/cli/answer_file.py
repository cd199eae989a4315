"""Where the answers of a batch go, a JSON line each: stdout, or a file that a later run goes on
with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ragvis._files import replace
from ragvis.errors import StorageError, UsageError

_AT_ONCE = 16  # lines that are replaced before the file is written anew
_HINT = "Choose another file for --output."

Fits = Callable[[int, bytes], bool]  # whether a line, from 0, may stand there


class AnswerFile:
    """Takes the lines by their number, from 0: those to replace first, then those to add.

    Args:
        file: None is stdout.
        lines: what the file holds already.
    """

    def __init__(self, file: Path | None, lines: Sequence[bytes]) -> None:
        self._file = file
        self._lines = list(lines)
        self._waiting = 0  # lines replaced since the file was written

    def write(self, number: int, line: str) -> None:
        """Raises:
        StorageError: the disk refuses.
        """
        if self._file is None:
            click.echo(line)
            return
        data = line.encode() + b"\n"
        if number >= len(self._lines):
            self.flush()
            with _failing(self._file), self._file.open("ab", buffering=0) as out:
                out.write(data)
            return
        self._lines[number] = data
        self._waiting += 1
        if self._waiting == _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Put replaced lines on the disk. Raises StorageError."""
        if self._file is None or not self._waiting:
            return
        with _failing(self._file):
            file = self._file.resolve()  # a link stays one
            part = file.with_name(f".{file.name}.part")
            part.write_bytes(b"".join(self._lines))
            shutil.copymode(file, part)
            replace(part, file)
        self._waiting = 0


def read_answers(file: Path | None, fits: Fits, begins: Fits) -> list[bytes]:
    """The whole lines of a file, which have to be those of this batch. Half a line at the end, as
    a kill leaves it, is cut off.

    Args:
        file: None, or one that is not there yet, has none.
        fits: for a whole line.
        begins: for half a line.

    Raises:
        UsageError: it is somebody else's file.
        StorageError: it cannot be read.
    """
    if file is None or not file.is_file():  # a pipe or a device holds no answers
        return []
    with _failing(file):
        lines = file.read_bytes().splitlines(keepends=True)
    half = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
    for n, line in enumerate(lines):
        if not fits(n, line):
            raise UsageError(f"{file}, line {n + 1}, answers another question", _HINT)
    if half and not begins(len(lines), half):
        raise UsageError(f"{file} is no file of answers", _HINT)
    if half:
        with _failing(file):
            os.truncate(file, sum(map(len, lines)))
    return lines


@contextmanager
def _failing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "The answers before it are kept; run it again to go on."
        raise StorageError(f"{file}: {error.strerror}", hint) from error
