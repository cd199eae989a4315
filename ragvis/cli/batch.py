"""``ragvis ask --batch``: many questions from a file, their answers as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis._files import check_keys, read_json_lines, strings
from ragvis.cli.answer_file import AnswerFile, read_answers
from ragvis.cli.conversation import Journal
from ragvis.cli.output import json_line, notice, progress, shown
from ragvis.errors import RagvisError
from ragvis.media.fetch import is_url
from ragvis.types import SCHEMA_VERSION

if TYPE_CHECKING:
    from ragvis.assistant import AnswerStream, Assistant
    from ragvis.assistant.prepared import AskOptions

_KEYS = ("id", "question", "images", "filter")
_SHAPE = 'One object a line: {"question", "id"?, "images"?: [path or URL], "filter"?}.'


@dataclass(frozen=True, slots=True)
class Asked:
    """One line of the file."""

    id: str
    question: str
    images: tuple[str, ...]
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A file of questions, and what is done with their answers.

    Attributes:
        file: the questions.
        output: where the answers go; None is stdout.
        stop_on_error: raise the error of a question that fails, instead of writing it down.
        is_logged: log the answers.
    """

    file: Path
    output: Path | None
    stop_on_error: bool
    is_logged: bool

    def run(self, assistant: Assistant, options: AskOptions) -> int:
        """Answer the questions in their order; how many failed.

        Answers that the output holds already are left as they are, so that a batch that was
        stopped goes on; what failed is asked again.

        Raises:
            UsageError: a file cannot be read or written, or holds something else.
            RagvisError: what concerns all questions, or with ``stop_on_error`` the first one that
                fails.
        """
        questions = read_batch(self.file)
        lines = _answered(self.output, questions)
        failed = [n for n, line in enumerate(lines) if "error" in json.loads(line)]
        _tell_done(len(lines) - len(failed), len(failed), len(questions))
        coming = [*failed, *range(len(lines), len(questions))]
        out = AnswerFile(self.output, lines)
        try:
            return self._ask(assistant, options, questions, coming, out)
        finally:
            out.flush()

    def _ask(
        self,
        assistant: Assistant,
        options: AskOptions,
        questions: Sequence[Asked],
        coming: Sequence[int],
        out: AnswerFile,
    ) -> int:
        from ragvis.logs import record_of

        asked = [(q.question, q.images, q.filter) for q in (questions[n] for n in coming)]
        answers = assistant.ask_many(
            asked,
            k=options.k,
            sampling=options.sampling,
            verify=options.verify,
            pictures=options.pictures,
            filter=options.filter,
            return_exceptions=not self.stop_on_error,
        )
        errors: list[tuple[Asked, RagvisError]] = []
        with progress("answering") as show:
            for done, n in enumerate(coming, 1):
                one = questions[n]
                with _about(one):
                    answer = next(answers)
                out.write(n, _line(one, answer))
                if isinstance(answer, RagvisError):
                    errors.append((one, answer))
                else:
                    Journal(self.is_logged).add(record_of(answer))
                show(len(questions) - len(coming) + done, len(questions), one.id)
        _tell_failed(errors, len(questions))
        return len(errors)


def read_batch(file: Path) -> list[Asked]:
    """The questions of a file of JSON lines; pictures are relative to it. An evaluation file
    will do.

    Raises:
        UsageError: it cannot be read, or a line is no question (its number is named).
    """
    return read_json_lines(file, lambda n, row: _asked(file.parent, n, row), _SHAPE)


def _asked(folder: Path, number: int, row: dict[str, Any]) -> Asked:
    check_keys(row, _KEYS)
    question, conditions = row["question"], row.get("filter")
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question is no text")
    if not isinstance(conditions, str | None):
        raise ValueError("filter is no text")
    images = strings(row, "images")
    places = (name if is_url(name) else str(folder / name) for name in images)
    return Asked(str(row.get("id", number)), question, tuple(places), conditions)


def _line(one: Asked, answer: AnswerStream | RagvisError) -> str:
    if not isinstance(answer, RagvisError):
        return json_line({"id": one.id, **answer.answer.to_dict()})
    error = {"type": type(answer).__name__, "message": str(answer), "hint": answer.hint}
    return json_line({**_head(one), "question": one.question, "error": error})


@contextmanager
def _about(one: Asked) -> Iterator[None]:
    """Name the question that an error is about."""
    try:
        yield
    except RagvisError:
        notice(f"stopped at question {shown(one.id)}; what stands before it is answered")
        raise


def _tell_done(answered: int, failed: int, of: int) -> None:
    if answered or failed:
        again = f"; {failed} failed and are asked again" if failed else ""
        notice(f"{answered} of {of} are answered already{again}")


def _tell_failed(errors: Sequence[tuple[Asked, RagvisError]], of: int) -> None:
    if errors:
        one, error = errors[0]
        said = shown(f"{one.id}: {error}. {error.hint}")
        notice(f"{len(errors)} of {of} questions failed, and their lines say why ({said})")


def _answered(output: Path | None, questions: Sequence[Asked]) -> list[bytes]:
    """The lines of a file that this batch has begun. Raises as ``read_answers``."""

    def fits(number: int, line: bytes) -> bool:
        return number < len(questions) and _is_answer_to(questions[number], line)

    def begins(number: int, half: bytes) -> bool:
        if number >= len(questions):
            return False
        start = json_line(_head(questions[number]))[:-1].encode()
        return start.startswith(half[: len(start)])

    return read_answers(output, fits, begins)


def _head(asked: Asked) -> dict[str, Any]:
    """What the line of a question begins with, whatever came of it."""
    return {"id": asked.id, "schema_version": SCHEMA_VERSION}


def _is_answer_to(asked: Asked, line: bytes) -> bool:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        return False
    wanted = {**_head(asked), "question": asked.question}
    told = isinstance(row, dict) and ("answer" in row or "error" in row)
    return told and wanted.items() <= row.items()
