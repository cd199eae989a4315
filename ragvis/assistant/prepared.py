"""A question with what was found for it, up to the prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ragvis._arguments import as_list, require_text
from ragvis.assistant.history import History, new_subject
from ragvis.assistant.notes import NoteTaker
from ragvis.assistant.placing import (
    LEAST_BESIDE_A_PHOTO,
    LEAST_PICTURE,
    begun,
    images_for,
    placeable,
    room_for,
)
from ragvis.assistant.quoting import quoting
from ragvis.assistant.rewriting import rewritten
from ragvis.assistant.small_talk import reply_to
from ragvis.composer import Attachment, Composed, compose, named
from ragvis.errors import BadFile, UsageError
from ragvis.generator.sampling import Sampling, Usage
from ragvis.index import picture_of
from ragvis.index.filters import parse_filter
from ragvis.media import source as media
from ragvis.retriever import Manner, Query, Ranked, Request, Retriever, check_k
from ragvis.types import ATTACHED, Hit

if TYPE_CHECKING:
    from ragvis.generator.choice import Generator
    from ragvis.media.images import Picture
    from ragvis.store.rows import Where

    PictureSource = str | Path | bytes | Picture
    PictureSources = PictureSource | Sequence[PictureSource] | None  # one, several, none

Pictures = Literal["pixels", "each"]  # how several of them are shown


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How questions are answered.

    Attributes:
        k: most sources to place; None places 4 passages and 2 pictures.
        sampling: how the answer is drawn.
        verify: check each sentence against the sources it cites.
        pictures: "pixels" shows the model as many as its family was trained on, the rest by their
            captions; "each" has it look at every one by itself first, and shows it its notes.
        filter: conditions on the files that are searched, as for ``Retriever.search``.
    """

    k: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    verify: bool = False
    pictures: Pictures = "pixels"
    filter: str | None = None

    def __post_init__(self) -> None:
        _ = self.where  # a wrong filter is said at once
        if self.k is not None:
            check_k(self.k)
        if self.pictures not in get_args(Pictures):
            known = ", ".join(get_args(Pictures))
            raise UsageError(f"pictures cannot be {self.pictures!r}", f"One of: {known}.")

    @property
    def where(self) -> Where | None:
        """The filter as a condition.

        Raises:
            UsageError: it is none.
        """
        return parse_filter(self.filter) if self.filter else None


class Prepared:
    """A question with its evidence and its prompt."""

    def __init__(
        self,
        retriever: Retriever,
        generator: Callable[[], Generator],
        question: str,
        images: PictureSources,
        options: AskOptions,
        history: History,
    ) -> None:
        require_text(question, "question")
        self.timing: dict[str, float] = {}  # seconds by step
        self.usage: dict[str, int] = {}  # tokens of what else the model wrote, by what it was
        self._retriever, self._generator = retriever, generator
        self._question, self._options, self._history = question, options, history
        given = [] if images is None else as_list(images)
        self.reply = "" if given else reply_to(question, retriever.index.status)
        self._leans = not self.reply and history.is_followed_by(question, bool(given))
        self._pictures: dict[str, Picture] = dict(history.pictures)
        brought = [media.load_picture(source) for source in given]
        self.query = self._standalone()
        again = history.attachments(question) if self._leans and not brought else []
        self._photos = brought or [self._pictures[one.hit.id] for one in again]
        hits, known_as = self._found()
        self.attachments = [
            self._attach(history.attached + n, source, picture, known_as)
            for n, (source, picture) in enumerate(zip(given, brought, strict=True))
        ]
        asked, photos = self._with_before(again)
        self.asked, shown = self._by_name(asked, photos, known_as, hits)
        self.composed = self._compose(hits, shown)
        self.has_evidence = self._has_evidence(bool(hits))

    @property
    def sampling(self) -> Sampling:
        """How the answer is drawn."""
        return self._options.sampling

    @property
    def best(self) -> float:
        """Score of the best source."""
        return max((s.hit.score for s in self.composed.sources), default=0.0)

    @property
    def can_be_doubted(self) -> bool:
        """Whether the model tells what it thinks of its answer, and retrieval has not begun it."""
        return self._generator().spec.doubts and not self.composed.opening

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count what is done inside among a step's seconds."""
        started = time.perf_counter()
        yield
        self.timing[step] = self.timing.get(step, 0.0) + time.perf_counter() - started

    def count(self, what: str, usage: Usage) -> None:
        """Count what the model wrote beside the answer."""
        for name, tokens in usage.tokens.items():
            key = f"{what}_{name}"
            self.usage[key] = self.usage.get(key, 0) + tokens

    def _standalone(self) -> str:
        """What to search for. Pocket writes a follow-up anew worse than joining it with the
        question it leans on does (scripts/eval_followups.py)."""
        if not self._leans:
            return self._question
        with self.timed("load"):
            model = self._generator()
        joined = self._history.standalone(self._question)
        if not model.spec.earlier_turns:
            return joined
        with self.timed("rewrite"):
            return rewritten(model, self._history, self._question) or joined

    def _found(self) -> tuple[list[Hit], str]:
        """What may be placed; and what the question's own picture is called, where that is
        known."""
        if self.reply:
            self.generation = self._retriever.index.info().generation
            return [], ""
        with self.timed("retrieve"):
            ranked, known_as = self._retrieve(self._options.k, self._photos)
        self.generation = ranked.generation
        if self._leans and (subject := new_subject(self._question)):
            ranked = self._about(ranked, subject)
        if self._photos:
            return placeable(ranked, LEAST_BESIDE_A_PHOTO, wants_pictures=False), known_as
        wants_pictures = Manner.of(self._question).pictures
        return placeable(ranked, LEAST_PICTURE, wants_pictures), known_as

    def _about(self, ranked: Ranked, subject: str) -> Ranked:
        """What says a word of a follow-up's new subject, as likely as by that alone: of the old one
        the model would tell again what it told before."""
        query, most = self._retriever.query(subject), max(8, self._options.k or 0)
        own = self._retriever.rank(query, most, self._options.where)
        passages = _both(ranked.passages, own.passages)
        images = _both(ranked.images, own.images)
        numbers = {hit.id: int(hit.id[1:]) for hit in (*passages, *images)}
        shares = self._retriever.index.word_coverage(subject, list(numbers.values()))
        if not shares:  # it has no word of its own
            return ranked
        meant = {name for name, number in numbers.items() if shares[number].share > 0}
        passages = [hit for hit in passages if hit.id in meant]
        return replace(ranked, passages=passages, images=[h for h in images if h.id in meant])

    def _with_before(self, again: Sequence[Attachment]) -> tuple[str, Sequence[Attachment]]:
        """The question and its photos; for a model that sees no earlier turn, with all that they
        lean on."""
        with self.timed("load"):
            spec = self._generator().spec
        if spec.earlier_turns:
            return self._question, self.attachments
        return self.query, [*again, *self.attachments]

    def _by_name(
        self, asked: str, photos: Sequence[Attachment], known_as: str, hits: Sequence[Hit]
    ) -> tuple[str, Sequence[Attachment]]:
        """The same, with the photo's name in the question for a model that needs it there: asked
        in words alone it answers better, and does not look at the photo for nothing."""
        # Not where it leans on others: it is joined with them, and they may mean another photo
        if self._generator().spec.links or self._leans or not self._photos:
            return asked, photos
        anew = named(asked, known_as, [hit.text or "" for hit in hits])
        unseen = anew != asked and self._options.pictures == "pixels"
        return anew, [replace(one, unseen=unseen) for one in photos]

    def _compose(self, hits: Sequence[Hit], shown: Sequence[Attachment]) -> Composed:
        past, spec = self._history.past, self._generator().spec
        room = room_for(self._options.k, self._options.sampling.max_new_tokens)
        held = {s.hit.id for turn in past.turns for s in turn.sources}
        images = images_for(hits, room, held)
        with self.timed("compose"):
            unopened = self._open_pictures(images)
        new = [hit for hit in images if hit.id not in held | set(unopened)]
        notes = self._notes([*(one.hit for one in shown if not one.unseen), *new])
        with self.timed("compose"):
            sizes = {name: picture.size for name, picture in self._pictures.items()}
            made = compose(self.asked, hits, shown, sizes, spec, room, unopened, past, notes)
        if self._photos or self._leans:
            return made
        started = begun(made, hits, Request.of(self._question), spec)
        return started if started.opening else quoting(started, hits, self._question, spec)

    def _has_evidence(self, is_found: bool) -> bool:
        """Without any there is nothing to answer from, and the model is not asked."""
        if self.reply:
            return False
        if any(source.is_shown for source in self.composed.turn.sources):
            return True
        goes_on = bool(self.composed.kept) and self._leans
        is_placed = any(source.is_shown for source in self.composed.sources)
        return is_placed and (is_found or goes_on)

    @property
    def pictures(self) -> dict[str, Picture]:
        """The pictures of the prompt by the ids of their hits, in the order of its ``<image>``
        tokens."""
        return {s.hit.id: self._pictures[s.hit.id] for s in self.composed.pixel_sources}

    @property
    def pictures_to_keep(self) -> dict[str, Picture]:
        """Those a conversation may need again: of the prompt, and what came with the question."""
        own = {one.hit.id: self._pictures[one.hit.id] for one in self.attachments}
        return own | self.pictures

    @property
    def shown_to_model(self) -> tuple[str, list[Picture]]:
        """The prompt and its pictures, in order."""
        return self.composed.prompt, list(self.pictures.values())

    def _notes(self, hits: Sequence[Hit]) -> dict[str, str]:
        if self._options.pictures == "pixels" or not hits:
            return {}
        taker = NoteTaker(self._generator())
        with self.timed("notes"):
            notes = taker.notes(self.asked, hits, self._pictures)
        self.count("notes", taker.usage)
        return notes

    def _retrieve(self, k: int | None, pictures: Sequence[Picture]) -> tuple[Ranked, str]:
        """What is found; and what the question's own picture is called, where that is known.

        A picture that has a name, by the index or at sight, is looked for by that name; another one
        by its vector. Retrieved pictures are for what the words ask: the one that shows what the
        photo shows would tell nothing new.
        """
        most = max(8, k or 0)
        where = self._options.where
        query = self._retriever.query(self.query, list(pictures))
        ranked = self._retriever.rank(query, most, where)
        if pictures:
            by_words = Query(self.query, {"text": query.vectors["text"]}, encoder=query.encoder)
            others = self._retriever.rank(by_words, most, where, judge=False).images
            known = query.known.id if query.known else None
            ranked = replace(ranked, images=[h for h in others if h.id != known])
        return ranked, query.name

    def _attach(self, n: int, source: PictureSource, picture: Picture, known_as: str) -> Attachment:
        hit = attached_hit(n, source, picture)
        self._pictures[hit.id] = picture
        return Attachment(hit, picture.size, known_as)

    def _open_pictures(self, images: Sequence[Hit]) -> dict[str, str]:
        """Open pictures; why, of those that cannot be opened."""
        unopened: dict[str, str] = {}
        for hit in images:
            try:
                self._pictures[hit.id] = picture_of(hit)
            except BadFile as error:
                unopened[hit.id] = str(error)
        return unopened


def _both(first: Sequence[Hit], second: Sequence[Hit]) -> list[Hit]:
    """Two rankings in the order of the first; a hit of both has the higher of its scores."""
    again = {hit.id: hit for hit in second}
    best = [replace(h, score=max(h.score, again.pop(h.id, h).score)) for h in first]
    return [*best, *again.values()]


def attached_hit(n: int, source: PictureSource, picture: Picture) -> Hit:
    """A picture that a person brought, the ``n``-th from 0, as a hit."""
    path = str(source) if isinstance(source, (str, Path)) else "picture"
    return Hit(
        id=f"{ATTACHED}{n}",
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
