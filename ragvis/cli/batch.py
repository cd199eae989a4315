"""``ragvis ask --batch``: many questions from a file, their answers as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ragvis.cli.conversation import Journal
from ragvis.cli.output import json_line, notice, progress
from ragvis.errors import UsageError
from ragvis.media.fetch import is_url

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
    with _opened(output, questions) as (out, done), progress("answering") as show:
        if done:
            notice(f"{done} of {len(questions)} are answered already")
        left = questions[done:]
        asked = [(one.question, one.images) for one in left]
        streams = assistant.ask_many(
            asked, k=options.k, sampling=options.sampling, verify=options.verify
        )
        for n, (one, stream) in enumerate(zip(left, streams, strict=True), 1):
            Journal(logged).add(record_of(stream))
            out.write(json_line({"id": one.id, **stream.answer.to_dict()}) + "\n")
            out.flush()
            show(done + n, len(questions), one.id)


def read_batch(file: Path) -> list[Asked]:
    """The questions of a file of JSON lines; pictures are relative to it. An evaluation file
    will do.

    Raises:
        UsageError: it cannot be read, or a line is no question (its number is named).
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {error}", _SHAPE) from error
    found = [_asked(file, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if len({one.id for one in found}) < len(found):
        raise UsageError(f"{file}: an id stands twice", "Give each question an id of its own.")
    return found


def _asked(file: Path, number: int, line: str) -> Asked:
    try:
        row = json.loads(line)
        question, images = row["question"], row.get("images") or []
        if not isinstance(question, str) or not question.strip():
            raise ValueError("question is no text")
        if not isinstance(images, list) or not all(isinstance(name, str) for name in images):
            raise ValueError("images is not a list of strings")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{file}, line {number}: {why}", _SHAPE) from error
    places = (name if is_url(name) else str(file.parent / name) for name in images)
    return Asked(str(row.get("id", number)), question, tuple(places))


@contextmanager
def _opened(output: Path | None, questions: Sequence[Asked]) -> Iterator[tuple[TextIO, int]]:
    """Where answers go, and how many are there."""
    if output is None:
        yield sys.stdout, 0
        return
    try:
        with output.open("a+", encoding="utf-8", newline="\n") as out:
            yield out, _answered(out, output, questions)
    except OSError as error:
        hint = "The answers before it are kept; run it again to go on."
        raise UsageError(f"{output}: {error.strerror}", hint) from error


def _answered(out: TextIO, output: Path, questions: Sequence[Asked]) -> int:
    """The answers in a file, which has to begin as this one would. Half a line, as a kill leaves
    it, is cut off."""
    out.seek(0)
    whole, done = 0, 0
    for line in iter(out.readline, ""):
        if not line.endswith("\n"):
            break
        if done >= len(questions) or not _is_answer_to(questions[done], line):
            hint = "Choose another file for --output."
            raise UsageError(f"{output}, line {done + 1}, answers another question", hint)
        done += 1
        whole = out.tell()
    out.truncate(whole)
    return done


def _is_answer_to(asked: Asked, line: str) -> bool:
    try:
        row: Any = json.loads(line)
    except ValueError:
        return False
    wanted = {"id": asked.id, "question": asked.question}
    return isinstance(row, dict) and all(row.get(k) == v for k, v in wanted.items())
