"""Many questions, several of which go through the model together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from ragvis._arguments import require_text
from ragvis.assistant.history import History
from ragvis.assistant.prepared import AskOptions
from ragvis.errors import (
    BadFile,
    MissingExtra,
    ModelError,
    ModelUnavailable,
    RagvisError,
    UsageError,
)

if TYPE_CHECKING:
    from ragvis.assistant.assistant import AnswerStream, Assistant
    from ragvis.assistant.prepared import PictureSources
    from ragvis.generator.choice import Generator

    # A question alone, with its pictures, or with these and a filter of its own
    ManyItem = str | tuple[str, PictureSources] | tuple[str, PictureSources, str | None]

WINDOW = 16  # questions that are answered together; all their pictures are in memory


def answers_to(
    assistant: Assistant,
    questions: Iterator[ManyItem],
    options: AskOptions,
    return_exceptions: bool,
) -> Iterator[AnswerStream | RagvisError]:
    """See ``Assistant.ask_many``."""
    _ = assistant.generator  # what is wrong with it concerns every question
    while some := list(islice(questions, WINDOW)):
        prepared = _prepared(assistant, some, options, return_exceptions)
        streams = [one for one in prepared if not isinstance(one, RagvisError)]
        if assistant.generator.batch > 1:
            _write_together([s for s in streams if s.prepared.has_evidence], assistant.generator)
        for one in prepared:
            answered = _read(one)
            if isinstance(answered, RagvisError) and not (
                return_exceptions and concerns_one_question(answered)
            ):
                raise answered
            yield answered


def concerns_one_question(error: RagvisError) -> bool:
    """Whether other questions may still be answered after it."""
    if isinstance(error, ModelUnavailable | MissingExtra):
        return False
    return isinstance(error, UsageError | BadFile | ModelError)


def _prepared(
    assistant: Assistant,
    questions: Sequence[ManyItem],
    options: AskOptions,
    return_exceptions: bool,
) -> list[AnswerStream | RagvisError]:
    """Questions up to their prompts; what cannot be asked as its error, the last one if that
    ends them all."""
    prepared: list[AnswerStream | RagvisError] = []
    for asked in questions:
        try:
            prepared.append(_stream_of(assistant, asked, options))
        except RagvisError as error:
            prepared.append(error)
            if not (return_exceptions and concerns_one_question(error)):
                break
    return prepared


def _stream_of(assistant: Assistant, asked: Any, options: AskOptions) -> AnswerStream:
    question, images, own = asked, (), None
    if isinstance(asked, tuple | list) and len(asked) in (2, 3):
        question, images, own = (*asked, None)[:3]
    from ragvis.assistant.assistant import AnswerStream

    require_text(question, "question")
    how = options if own is None else replace(options, filter=own)
    return AnswerStream(assistant, question, images, how, History())


def _read(one: AnswerStream | RagvisError) -> AnswerStream | RagvisError:
    """An answer read to its end, or what kept it from that."""
    if isinstance(one, RagvisError):
        return one
    try:
        one.read()
    except RagvisError as error:
        return error
    return one


def _write_together(streams: Sequence[AnswerStream], generator: Generator) -> None:
    """Have the model answer these, those of like length together. Where that fails, the rest is
    left to be asked one by one, which tells whose fault it was."""
    by_length = sorted(streams, key=lambda s: -s.prepared.composed.ledger.total)
    for start in range(0, len(by_length), generator.batch):
        some = by_length[start : start + generator.batch]
        asked = [stream.prepared.shown_to_model for stream in some]
        try:
            answers = generator.write_many(asked, some[0].options.sampling)
        except ModelError:
            return
        for stream, written in zip(some, answers, strict=True):
            stream.take(written)
