"""Retrieve, compose, generate, cite."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragvis import generator as generators
from ragvis.composer import (
    Attachment,
    CitationFilter,
    Composed,
    Room,
    compose,
    find_citations,
    mark_cited,
)
from ragvis.errors import BadFile, UsageError
from ragvis.generator.sampling import Sampling, Usage
from ragvis.index import picture_of
from ragvis.media import source as media
from ragvis.models import registry
from ragvis.prompts import NOT_FOUND
from ragvis.retriever import Manner, Query, Ranked, Retriever
from ragvis.types import LEAST_EVIDENCE, Answer, Hit, Ledger, Support, Tell, silent

if TYPE_CHECKING:
    from ragvis.generator.llava import LlavaGenerator
    from ragvis.media.images import Picture

    PictureSource = str | Path | bytes | Picture

# A retrieved picture goes to the model only on strong evidence: one too many costs a second and
# misleads (MRAG-Bench: distractor pictures make answers worse than none).
LEAST_PICTURE = 0.5
LEAST_BESIDE_THE_BEST = 0.1  # odds of a further picture, as a share of the best one's
LEAST_BESIDE_A_PICTURE = 0.5  # of a passage, where the question asks for a picture
LEAST_BESIDE_A_PHOTO = 0.9  # where the question brings its own picture


class Assistant:
    """Answers questions from what a retriever finds.

    Args:
        retriever: searches the index.
        model: ``pocket``, a known name, a hub id, or a checkpoint folder; None takes the
            machine's default. Loaded on first use.
        lora: a peft adapter folder for it.
        quantize: "8bit", "4bit", "none", or None for 8bit on CUDA and none elsewhere.
        template: conversation template, where the family's own is not wanted.
        engine: "int8" or "bitsandbytes" for 8-bit weights, or None for the faster one here.
        tell: takes one-line notices.
    """

    def __init__(
        self,
        retriever: Retriever,
        model: str | None = None,
        *,
        lora: str | None = None,
        quantize: str | None = None,
        template: str | None = None,
        engine: str | None = None,
        tell: Tell = silent,
    ) -> None:
        self.retriever = retriever
        self._name = model
        self._options = {
            "lora": lora,
            "quantize": quantize,
            "template": template,
            "engine": engine,
        }
        self._tell = tell
        self._generator: LlavaGenerator | None = None

    @property
    def generator(self) -> LlavaGenerator:
        """The model, loaded on first use."""
        if self._generator is None:
            name = self._name or registry.default_names(self._tell)[1]
            self._generator = generators.load(name, self._tell, **self._options)
        return self._generator

    def ask(
        self,
        question: str,
        images: Sequence[PictureSource] = (),
        *,
        k: int | None = None,
        sampling: Sampling | None = None,
        verify: bool = False,
    ) -> Answer:
        """Answer a question.

        Args:
            question: in words.
            images: pictures that belong to the question: paths, URLs, bytes or PIL images.
            k: most sources to place; None places 4 passages and 2 pictures.
            sampling: how the answer is drawn; None is greedy.
            verify: check each sentence against the sources it cites (``Answer.support``).

        Raises:
            UsageError: an empty question, or a picture that cannot be opened.
            PromptTooLong: the question does not fit the model.
            ModelError: the model cannot be loaded or fails.
        """
        stream = self.stream(question, images, k=k, sampling=sampling, verify=verify)
        for _ in stream:
            pass
        return stream.answer

    def stream(
        self,
        question: str,
        images: Sequence[PictureSource] = (),
        *,
        k: int | None = None,
        sampling: Sampling | None = None,
        verify: bool = False,
    ) -> AnswerStream:
        """Like ``ask``, piece by piece: iterate, then read ``.answer``."""
        return AnswerStream(self, question, images, k, sampling or Sampling(), verify)

    def prepare(
        self, question: str, images: Sequence[PictureSource], k: int | None, sampling: Sampling
    ) -> Prepared:
        """Everything up to the prompt. Raises as ``ask``."""
        return Prepared(self, question, images, k, sampling)


class Prepared:
    """A question with its evidence and its prompt."""

    def __init__(
        self,
        assistant: Assistant,
        question: str,
        images: Sequence[PictureSource],
        k: int | None,
        sampling: Sampling,
    ) -> None:
        if not question.strip():
            raise UsageError("the question is empty")
        started = time.perf_counter()
        self._retriever = assistant.retriever
        self._pictures: dict[str, Picture] = {}
        asked = [media.load_picture(source) for source in images]
        ranked, known_as = self._retrieve(question, asked, k)
        retrieved = time.perf_counter()
        spec = assistant.generator.spec
        loaded = time.perf_counter()
        attachments = [
            self._attach(n, source, picture, known_as)
            for n, (source, picture) in enumerate(zip(images, asked, strict=True))
        ]
        room = _room(k, sampling)
        least = LEAST_BESIDE_A_PHOTO if asked else LEAST_PICTURE
        hits = _placeable(ranked, least, not asked and Manner.of(question).pictures)
        unopened = self._open_pictures(hits, room.images)
        sizes = {name: picture.size for name, picture in self._pictures.items()}
        self.generation = ranked.generation
        self.composed: Composed = compose(question, hits, attachments, sizes, spec, room, unopened)
        self.timing = {
            "load": loaded - retrieved,
            "retrieve": retrieved - started,
            "compose": time.perf_counter() - loaded,
        }

    @property
    def has_evidence(self) -> bool:
        """Whether there is anything to answer from; without it the model is not asked."""
        return bool(self.composed.sources)

    @property
    def pictures(self) -> dict[str, Picture]:
        """The pictures of the prompt by the ids of their hits, in the order of its ``<image>``
        tokens."""
        return {s.hit.id: self._pictures[s.hit.id] for s in self.composed.pixel_sources}

    def _retrieve(
        self, question: str, pictures: Sequence[Picture], k: int | None
    ) -> tuple[Ranked, str]:
        """What is found; and what is known of the indexed picture that the question's own shows.

        A picture that the index knows by name is looked for by that name; another one by its
        vector. Retrieved pictures are for what the words ask: the photo itself is there already.
        """
        most = max(8, k or 0)
        query = self._retriever.query(question, list(pictures))
        ranked = self._retriever.rank(query, most)
        if pictures:
            by_words = Query(question, {"text": query.vectors["text"]})
            others = self._retriever.rank(by_words, most, judge=False).images
            known = query.known.id if query.known else None
            ranked = replace(ranked, images=[h for h in others if h.id != known])
        return ranked, (query.known.text or query.known.title) if query.known else ""

    def _attach(self, n: int, source: PictureSource, picture: Picture, known_as: str) -> Attachment:
        path = str(source) if isinstance(source, (str, Path)) else "picture"
        hit = Hit(
            id=f"a{n}",
            modality="image",
            path=path,
            title=media.name_of(source),
            section="",
            page=None,
            span=None,
            bbox=None,
            sha256=media.sha256_of(source, picture),
            score=1.0,
            scores={},
            text=None,
            file=path if media.is_url(path) else str(Path(path).absolute()),
        )
        self._pictures[hit.id] = picture
        return Attachment(hit, picture.size, known_as)

    def _open_pictures(self, hits: Sequence[Hit], most: int) -> dict[str, str]:
        """Open the pictures that may be placed; why, of those that cannot be opened."""
        unopened: dict[str, str] = {}
        for hit in [h for h in hits if h.modality == "image"][:most]:
            try:
                self._pictures[hit.id] = picture_of(hit)
            except BadFile as error:
                unopened[hit.id] = str(error)
        return unopened


class AnswerStream:
    """Iterate over the answer's pieces; ``answer`` is there when they have ended."""

    def __init__(
        self,
        assistant: Assistant,
        question: str,
        images: Sequence[PictureSource],
        k: int | None,
        sampling: Sampling,
        verify: bool,
    ) -> None:
        self._assistant = assistant
        self._verify = verify
        self._question = question
        self._started = time.perf_counter()
        self._sampling = sampling
        self._first = 0.0
        self.prepared = assistant.prepare(question, images, k, sampling)
        self._answer: Answer | None = None

    @property
    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            UsageError: the pieces have not been read to their end.
        """
        if self._answer is None:
            raise UsageError("read the stream to its end before its answer")
        return self._answer

    def __iter__(self) -> Iterator[str]:
        said: list[str] = []
        for piece in self._pieces():
            if not said:
                self._first = time.perf_counter() - self._started
                piece = piece.lstrip()
            if piece:
                said.append(piece)
                yield piece
        if not "".join(said).strip():
            said = [NOT_FOUND]
            yield NOT_FOUND
        self._answer = self._finish("".join(said).strip())

    def _pieces(self) -> Iterator[str]:
        if not self.prepared.has_evidence:
            return
        composed, generator = self.prepared.composed, self._assistant.generator
        checked = CitationFilter({s.n for s in composed.sources})
        pictures = list(self.prepared.pictures.values())
        for piece in generator.stream(composed.prompt, pictures, self._sampling):
            if ready := checked.feed(piece):
                yield ready
        yield checked.finish()

    def _finish(self, text: str) -> Answer:
        abstained = text.strip(" .").lower() == NOT_FOUND.strip(" .").lower()
        text = NOT_FOUND if abstained else text
        citations = find_citations(text)
        prepared, assistant = self.prepared, self._assistant
        asked = prepared.has_evidence
        usage = assistant.generator.usage if asked else Usage()
        support = self._support(text) if self._verify and not abstained else None
        index = assistant.retriever.index.info()
        now = time.perf_counter() - self._started
        return Answer(
            question=self._question,
            text=text,
            abstained=abstained,
            citations=citations,
            sources=mark_cited(prepared.composed.sources, {c.n for c in citations}),
            ledger=prepared.composed.ledger if asked else _unused(prepared.composed.ledger),
            model=assistant.generator.info,
            index=replace(index, generation=prepared.generation),
            prompt=prepared.composed.prompt if asked else "",
            usage=asdict(usage),
            timing_s={**prepared.timing, "first_token": self._first, "total": now},
            support=support,
        )

    def _support(self, text: str) -> tuple[Support, ...]:
        from ragvis.assistant.verify import Verifier

        prepared = self.prepared
        verifier = Verifier(self._assistant.generator)
        return verifier.check(self._question, text, prepared.composed.sources, prepared.pictures)


def _unused(ledger: Ledger) -> Ledger:
    """The model was not asked: nothing entered it."""
    return replace(ledger, system=0, images=0, passages=0, history=0, question=0, total=0)


def _room(k: int | None, sampling: Sampling) -> Room:
    if k is None:
        return Room(answer=sampling.max_new_tokens)
    if k < 1:
        raise UsageError("k must be at least 1")
    return Room(answer=sampling.max_new_tokens, passages=max(1, k - k // 3), images=k // 3)


def _placeable(ranked: Ranked, least_picture: float, wants_pictures: bool) -> list[Hit]:
    """As ranked: nothing where nothing is relevant; no picture without strong evidence, and no
    passage without any beside a picture that was asked for."""
    best = max((h.score for h in (*ranked.passages, *ranked.images)), default=0.0)
    if best < LEAST_EVIDENCE:
        return []
    images = [h for h in ranked.images if h.score >= least_picture]
    if images:
        least = LEAST_BESIDE_THE_BEST * _odds(images[0].score)
        images = [h for h in images if _odds(h.score) >= least]
    least_passage = LEAST_BESIDE_A_PICTURE if images and wants_pictures else 0.0
    return [*images, *(h for h in ranked.passages if h.score >= least_passage)]


def _odds(score: float) -> float:
    return score / max(1e-6, 1.0 - score)
