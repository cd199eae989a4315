"""Retrieve, compose, generate, cite."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from ragvis._arguments import require_many, require_part
from ragvis.assistant.history import History, Said
from ragvis.assistant.many import answers_to
from ragvis.assistant.prepared import AskOptions, Pictures, Prepared
from ragvis.composer import CitationFilter, find_citations, joined, mark_cited, unasked
from ragvis.errors import RagvisError, UsageError
from ragvis.generator.choice import LazyModel, ModelChoice
from ragvis.generator.sampling import STOP, Sampling, Usage, Written
from ragvis.index import Features
from ragvis.prompts import NOT_FOUND, is_cut_refusal, is_refusal
from ragvis.retriever import Retriever
from ragvis.types import Answer, Source, Support, Tell, silent

if TYPE_CHECKING:
    from ragvis.assistant.many import ManyItem
    from ragvis.assistant.prepared import PictureSources
    from ragvis.assistant.verify import Verifier
    from ragvis.composer import Composed
    from ragvis.generator.choice import Generator


class Assistant:
    """Answers questions from what a retriever finds.

    Args:
        retriever: searches the index.
        model: ``pocket``, a known name, a hub id, or a checkpoint folder; None takes the
            machine's default. Loaded on first use; or one that ``ragvis.generator.load`` gave.
        lora: a peft adapter folder for it.
        quantize: "8bit", "4bit", "none", None for 8bit, and none for pocket on CUDA.
        template: conversation template, where the family's own is not wanted.
        engine: "int8" or "bitsandbytes" for 8-bit weights, or None for int8.
        tell: takes one-line notices.
    """

    def __init__(
        self,
        retriever: Retriever,
        model: str | Path | Generator | None = None,
        *,
        lora: str | None = None,
        quantize: str | None = None,
        template: str | None = None,
        engine: str | None = None,
        tell: Tell = silent,
    ) -> None:
        way = "Assistant(Retriever(Index.open(folder)))."
        require_part(retriever, "retriever", "rank", way)
        self.retriever = retriever
        options = {"lora": lora, "quantize": quantize, "template": template, "engine": engine}
        self._model = LazyModel.of(model, tell, **options)
        self._tell = tell
        self._met: object = self  # the tower that the model was told of; none at all is None

    @property
    def choice(self) -> ModelChoice:
        """Which model was asked for."""
        return self._model.choice

    @property
    def generator(self) -> Generator:
        """The model, loaded on first use."""
        generator = self._model.generator
        index = self.retriever.index
        encoder = index.loaded_encoder
        if encoder is not None and self._met is not (tower := encoder.tower):
            generator.use(encoder, Features(index.path, self._tell))
            self._met = tower
        return generator

    def ask(
        self,
        question: str,
        images: PictureSources = (),
        *,
        k: int | None = None,
        sampling: Sampling | None = None,
        verify: bool = False,
        pictures: Pictures = "pixels",
        filter: str | None = None,
    ) -> Answer:
        """Answer a question.

        Args:
            question: in words.
            images: pictures that belong to the question, or the one: paths, URLs, bytes or PIL
                images.
            k: most sources to place; None places 4 passages and 2 pictures.
            sampling: how the answer is drawn; None is greedy.
            verify: check each sentence against the sources it cites (``Answer.support``).
            pictures: how the model sees several: see ``AskOptions``.
            filter: conditions on the files that are searched, as for ``Retriever.search``.

        Raises:
            UsageError: an empty question, a picture that cannot be opened, or no filter.
            PromptTooLong: the question does not fit the model.
            ModelError: the model cannot be loaded or fails.
        """
        how = AskOptions(k, sampling or Sampling(), verify, pictures, filter)
        return AnswerStream(self, question, images, how, History()).read()

    def stream(
        self,
        question: str,
        images: PictureSources = (),
        *,
        k: int | None = None,
        sampling: Sampling | None = None,
        verify: bool = False,
        pictures: Pictures = "pixels",
        filter: str | None = None,
    ) -> AnswerStream:
        """Like ``ask``, piece by piece: iterate, then read ``.answer``."""
        options = AskOptions(k, sampling or Sampling(), verify, pictures, filter)
        return AnswerStream(self, question, images, options, History())

    @overload
    def ask_many(
        self,
        questions: Iterable[ManyItem],
        *,
        k: int | None = ...,
        sampling: Sampling | None = ...,
        verify: bool = ...,
        pictures: Pictures = ...,
        filter: str | None = ...,
        return_exceptions: Literal[False] = ...,
    ) -> Iterator[AnswerStream]: ...

    @overload
    def ask_many(
        self,
        questions: Iterable[ManyItem],
        *,
        k: int | None = ...,
        sampling: Sampling | None = ...,
        verify: bool = ...,
        pictures: Pictures = ...,
        filter: str | None = ...,
        return_exceptions: bool,
    ) -> Iterator[AnswerStream | RagvisError]: ...

    def ask_many(
        self,
        questions: Iterable[ManyItem],
        *,
        k: int | None = None,
        sampling: Sampling | None = None,
        verify: bool = False,
        pictures: Pictures = "pixels",
        filter: str | None = None,
        return_exceptions: bool = False,
    ) -> Iterator[AnswerStream | RagvisError]:
        """Ask many questions; several go through the model together.

        What is yielded has been read to its end, in the order of the questions. The other
        arguments, and the errors, are those of ``ask``.

        Args:
            questions: each alone, with its pictures, or with its pictures and a filter that it
                has instead of the common one (None: it has the common one).
            return_exceptions: yield the error of a question that cannot be answered in its
                place, and go on. What concerns them all is raised even so: the model cannot be
                loaded or reached, the index is gone or damaged, the disk refuses. Without it an
                error is raised when all questions before it are answered.
        """
        require_many(questions, "question", "ask")
        options = AskOptions(k, sampling or Sampling(), verify, pictures, filter)
        return answers_to(self, iter(questions), options, return_exceptions)

    def chat(
        self,
        *,
        k: int | None = None,
        sampling: Sampling | None = None,
        verify: bool = False,
        pictures: Pictures = "pixels",
        filter: str | None = None,
    ) -> Chat:
        """A conversation over the index; the arguments are those of ``ask``."""
        return Chat(self, AskOptions(k, sampling or Sampling(), verify, pictures, filter))


class Chat:
    """Questions that follow one another, answered from the index.

    A follow-up that leans on what was said before ("and how old is it?") is searched for together
    with it; sources keep their numbers for the whole conversation; the oldest turns leave the
    prompt, whole, when it gets too long. An answer that was refused, or that was not read to its
    end before the next one was, is not remembered.
    """

    def __init__(
        self, assistant: Assistant, options: AskOptions, history: History | None = None
    ) -> None:
        self._assistant = assistant
        self.options = options  # of the questions to come
        self._history = history or History()
        self.answers: list[Answer] = []  # every answer given, refusals too

    def ask(self, question: str, images: PictureSources = ()) -> Answer:
        """Ask the next question. Raises as ``Assistant.ask``."""
        return self.stream(question, images).read()

    def stream(self, question: str, images: PictureSources = ()) -> AnswerStream:
        """Like ``ask``, piece by piece: iterate, then read ``.answer``."""
        return AnswerStream(
            self._assistant, question, images, self.options, self._history, self.answers.append
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source that was placed so far, by number."""
        return self._history.sources


class AnswerStream:
    """Iterate over the answer's pieces; ``answer`` is there when they have ended."""

    def __init__(
        self,
        assistant: Assistant,
        question: str,
        images: PictureSources,
        options: AskOptions,
        history: History,
        on_answer: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        self._started = time.perf_counter()
        self._first = 0.0
        self.assistant = assistant
        self.question = question
        self.options = options
        self._history, self._after = history, history.count
        self._on_answer = on_answer
        self.prepared = Prepared(
            assistant.retriever, lambda: assistant.generator, question, images, options, history
        )
        # Before the answer: a model that cannot be asked says so first
        self._verifier = _verifier(assistant.generator) if options.verify else None
        self._written: Written | None = None
        self._withheld: str | None = None
        self._begun = ""  # the answer's first words, where the model was made to give one
        self._alone: Composed | None = None  # the prompt, where one source alone answers
        self._answer: Answer | None = None

    def read(self) -> Answer:
        """Read the pieces to their end; the whole answer."""
        for _ in self:
            pass
        return self.answer

    def take(self, written: Written) -> None:
        """What the model wrote already, together with other answers; there is no other way then."""
        self._written = written

    @property
    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            UsageError: the pieces have not been read to their end.
        """
        if self._answer is None:
            raise UsageError("read the stream to its end before its answer")
        return self._answer

    @property
    def said(self) -> Said:
        """What a conversation remembers of it. Raises as ``answer``."""
        answer, composed = self.answer, self.prepared.composed
        return Said(
            question=self.question,
            abstained=answer.abstained,
            turn=replace(composed.turn, answer=answer.text),
            kept=len(composed.kept),
            attachments=self.prepared.attachments,
            pictures=self.prepared.pictures_to_keep,
        )

    def __iter__(self) -> Iterator[str]:
        if self._answer is not None:  # read before: the model is not asked again
            yield self._answer.text
            return
        said: list[str] = []
        for piece in self._pieces():
            if not said:
                self._first = time.perf_counter() - self._started
                piece = piece.lstrip()
            if piece:
                said.append(piece)
                yield piece
        text = "".join(said).strip()
        if not text or (self._ended.is_cut and is_cut_refusal(text)):
            said = [NOT_FOUND]
            yield NOT_FOUND[len(text) :]
        if self._answer is None:  # another reader of the same stream may have been first
            self._take_down("".join(said).strip())

    def _take_down(self, text: str) -> None:
        self._answer = self._finish(text)
        if self._history.count == self._after:  # else it followed what is not the last any more
            self._history.add(self.said)
        self._on_answer(self._answer)

    def _pieces(self) -> Iterator[str]:
        if not self.prepared.has_evidence:
            yield from filter(None, [self.prepared.reply])
            return
        if not self.prepared.can_be_doubted:
            yield from self._writing("")
            return
        from ragvis.assistant.doubt import Doubt

        doubt = Doubt(self.prepared, self.assistant.generator, lambda: self._ended)
        yield from doubt.settled(self._writing)
        self._withheld, self._alone = doubt.withheld, doubt.alone

    def _writing(self, begun: str) -> Iterator[str]:
        """The answer, its first words given, or as it was written before."""
        composed, generator = self.prepared.composed, self.assistant.generator
        self._begun, self._written = begun, None if begun else self._written
        if self._written is not None:
            coming = iter([self._written.text])
        else:
            prompt, pictures = self.prepared.shown_to_model
            coming = generator.stream(prompt + begun, pictures, self.options.sampling)
        checked = CitationFilter({s.n for s in composed.sources if s.is_shown})
        return checked.of(chain([begun], coming) if begun else joined(composed.opening, coming))

    def _finish(self, text: str) -> Answer:
        prepared, assistant = self.prepared, self.assistant
        composed = prepared.composed if prepared.has_evidence else unasked(prepared.composed)
        asked, abstained = self._alone or composed, is_refusal(text)
        text = NOT_FOUND if abstained else text
        citations = find_citations(text)
        usage = {**self._ended.tokens, **prepared.usage}
        answered = time.perf_counter()
        support = None if abstained else self._support(text)
        return Answer(
            question=self.question,
            text=text,
            abstained=abstained,
            citations=citations,
            sources=mark_cited(composed.sources, {c.n for c in citations}),
            ledger=asked.ledger,
            model=assistant.generator.info,
            index=replace(assistant.retriever.index.info(), generation=prepared.generation),
            prompt=asked.prompt + ("" if abstained or self._alone else self._begun),
            usage=usage,
            timing_s=self._timing(answered, is_verified=support is not None),
            support=support,
            finish_reason=STOP if abstained else self._ended.finish_reason,
            withheld=self._withheld,
        )

    @property
    def _ended(self) -> Usage:
        """Tokens of the answer that was just written, and why it ended."""
        if not self.prepared.has_evidence:
            return Usage()
        written = None if self._alone else self._written
        return written.usage if written else self.assistant.generator.usage

    def _timing(self, answered: float, is_verified: bool) -> dict[str, float]:
        now = time.perf_counter()
        checked = {"verify": now - answered} if is_verified else {}
        spent = {"first_token": self._first, **checked, "total": now - self._started}
        return {**self.prepared.timing, **spent}

    def _support(self, text: str) -> tuple[Support, ...] | None:
        if self._verifier is None:
            return None
        prepared = self.prepared
        return self._verifier.check(
            prepared.asked, text, prepared.composed.sources, prepared.pictures
        )


def _verifier(generator: Generator) -> Verifier:
    from ragvis.assistant.verify import Verifier

    return Verifier(generator)
