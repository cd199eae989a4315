"""What several parts do with files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ragvis.config import nearest
from ragvis.errors import UsageError

_PIECE = 2**20  # bytes
_SLIP = 0.85  # likeness of a mistyped key: "image" for "images", but not "idx" for "id"


def sha256_of_file(file: Path | str) -> str:
    """Hex sha256 of a file, read in pieces.

    Raises:
        OSError: it cannot be read; each caller has its own word for that.
    """
    digest = hashlib.sha256()  # file_digest zeroes a buffer of its own for every small file
    with open(file, "rb", buffering=0) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def make_private(file: Path) -> None:
    """Make an empty file that no other user may read, or tighten the one that is there.

    Its folder is made too. Call it before anything is written.

    Raises:
        OSError: the disk refuses, or the file is another user's.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    if os.name != "nt" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        file.chmod(0o600)


def write_private(file: Path, text: str) -> None:
    """Replace a file's text at once, in a file that no other user may read. Raises OSError."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    make_private(part)
    try:
        part.write_text(text, "utf-8")
        os.replace(part, file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class Named(Protocol):
    """Something with an id that no other has."""

    @property
    def id(self) -> str:
        """Its id."""


T = TypeVar("T", bound=Named)


def read_json_lines(file: Path, parsed: Callable[[int, dict[str, Any]], T], shape: str) -> list[T]:
    """What the lines of a file say, empty ones left out.

    Args:
        file: JSON lines.
        parsed: takes a line's number, from 1, and its object; raises ValueError, KeyError or
            TypeError for what it cannot be.
        shape: what a line looks like, for who gets it wrong.

    Raises:
        UsageError: the file cannot be read, a line is something else (its number is named), or
            an id stands twice.
    """
    try:
        lines = file.read_text("utf-8").split("\n")  # other line ends may stand in a JSON text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {error}", shape) from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found += [parsed(number, json.loads(line))] if line.strip() else []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UsageError(f"{file}, line {number}: {why}", shape) from error
    if len({one.id for one in found}) < len(found):
        raise UsageError(f"{file}: an id stands twice", "Give each question an id of its own.")
    return found


def strings(row: dict[str, Any], name: str) -> list[str]:
    """A list of strings of a line, empty where it is not there.

    Raises:
        ValueError: it is something else.
    """
    values = row.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} is not a list of strings")
    return values


def check_keys(row: dict[str, Any], known: Collection[str]) -> None:
    """Other keys may stand in a line, but not what is taken for a slip of one that it lacks.

    Raises:
        ValueError: such a key.
    """
    lacking = [name for name in known if name not in row]
    for key in row:
        if key not in known and (like := nearest(key, lacking, _SLIP)):
            raise ValueError(f"nothing reads {key!r}; did you mean {like!r}?")


def replace(part: Path, file: Path) -> None:
    """Rename a finished file or folder into its place, so that it outlasts a power cut.

    Raises:
        OSError: the disk refuses.
    """
    flush(part)
    os.replace(part, file)
    flush(file.parent)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``folder`` when that is done: it appears whole or not
    at all. What was there goes first. Hold a lock where others may make it too.

    Raises:
        OSError: the disk refuses.
    """
    part = folder.with_suffix(".part")
    for old in (part, folder):  # a part that is there belongs to a killed process
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        replace(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle on a folder to flush
    # Windows flushes only what is open for writing
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
