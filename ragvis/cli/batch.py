"""``ragvis ask --batch``: many questions from a file, their answers as JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragvis._files import read_json_lines, strings
from ragvis.cli.conversation import Journal
from ragvis.cli.output import json_line, notice, progress, shown
from ragvis.errors import RagvisError, StorageError, UsageError
from ragvis.media.fetch import is_url
from ragvis.types import SCHEMA_VERSION

if TYPE_CHECKING:
    from ragvis.assistant import Assistant
    from ragvis.assistant.prepared import AskOptions

_SHAPE = 'One object a line: {"question", "id"?, "images"?: [path or URL]}.'


@dataclass(frozen=True, slots=True)
class Asked:
    """One line of the file."""

    id: str
    question: str
    images: tuple[str, ...]


def answer_all(
    assistant: Assistant, file: Path, output: Path | None, options: AskOptions, logged: bool
) -> None:
    """Answer the questions of a file in their order.

    Answers that an output file holds already are left as they are, so that a batch that was
    stopped goes on.

    Raises:
        UsageError: a file cannot be read or written, or holds something else.
    """
    from ragvis.logs import record_of

    questions = read_batch(file)
    done = _answered(output, questions) if output is not None else 0
    if done:
        notice(f"{done} of {len(questions)} are answered already")
    left = questions[done:]
    asked = [(one.question, one.images) for one in left]
    with _opened(output) as write, progress("answering") as show:
        streams = assistant.ask_many(
            asked,
            k=options.k,
            sampling=options.sampling,
            verify=options.verify,
            pictures=options.pictures,
        )
        for n, one in enumerate(left, 1):
            with _about(one):
                stream = next(streams)
            write(json_line({"id": one.id, **stream.answer.to_dict()}))
            Journal(logged).add(record_of(stream))
            show(done + n, len(questions), one.id)


def read_batch(file: Path) -> list[Asked]:
    """The questions of a file of JSON lines; pictures are relative to it. An evaluation file
    will do.

    Raises:
        UsageError: it cannot be read, or a line is no question (its number is named).
    """
    return read_json_lines(file, lambda n, row: _asked(file.parent, n, row), _SHAPE)


def _asked(folder: Path, number: int, row: dict[str, Any]) -> Asked:
    question = row["question"]
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question is no text")
    images = strings(row, "images")
    places = (name if is_url(name) else str(folder / name) for name in images)
    return Asked(str(row.get("id", number)), question, tuple(places))


@contextmanager
def _about(one: Asked) -> Iterator[None]:
    """Name the question that an error is about."""
    try:
        yield
    except RagvisError:
        notice(f"stopped at question {shown(one.id)}; what stands before it is answered")
        raise


@contextmanager
def _opened(output: Path | None) -> Iterator[Callable[[str], None]]:
    """What writes a line where answers go."""
    if output is None:
        yield click.echo
        return
    with _told(output):
        out = output.open("ab", buffering=0)
    with out:

        def write(line: str) -> None:
            with _told(output):
                out.write(line.encode() + b"\n")

        yield write


@contextmanager
def _told(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "The answers before it are kept; run it again to go on."
        raise StorageError(f"{output}: {error.strerror}", hint) from error


def _answered(output: Path, questions: Sequence[Asked]) -> int:
    """The answers in a file, which has to begin as this one would. Half a line, as a kill leaves
    it, is cut off."""
    with _told(output):
        lines = output.read_bytes().splitlines(keepends=True) if output.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        for n, line in enumerate(whole):
            if n >= len(questions) or not _is_answer_to(questions[n], line):
                hint = "Choose another file for --output."
                raise UsageError(f"{output}, line {n + 1}, answers another question", hint)
        if len(whole) < len(lines):
            _check_tail(output, lines[-1], questions[len(whole) : len(whole) + 1])
            os.truncate(output, sum(map(len, whole)))
    return len(whole)


def _check_tail(output: Path, tail: bytes, questions: Sequence[Asked]) -> None:
    """Raises:
    UsageError: half a line that no batch of these questions has begun: it is someone's file.
    """
    begun = [json_line({"id": q.id, "schema_version": SCHEMA_VERSION})[:-1] for q in questions]
    if not any(text.encode().startswith(tail[: len(text.encode())]) for text in begun):
        raise UsageError(f"{output} is no file of answers", "Choose another file for --output.")


def _is_answer_to(asked: Asked, line: bytes) -> bool:
    try:
        row: Any = json.loads(line)
    except ValueError:
        return False
    wanted = {"id": asked.id, "question": asked.question, "schema_version": SCHEMA_VERSION}
    return isinstance(row, dict) and "answer" in row and wanted.items() <= row.items()
