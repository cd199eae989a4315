"""A question with what was found for it, up to the prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ragvis._arguments import as_list, require_text
from ragvis.assistant.history import History
from ragvis.assistant.notes import NoteTaker
from ragvis.assistant.rewriting import rewritten
from ragvis.assistant.verify import WEAK
from ragvis.composer import Attachment, Composed, PromptSpec, Room, compose, named, opened
from ragvis.errors import BadFile, UsageError
from ragvis.generator.sampling import Sampling
from ragvis.index import picture_of
from ragvis.media import source as media
from ragvis.prompts import SHOWS
from ragvis.retriever import Manner, Query, Ranked, Request, Retriever, check_k
from ragvis.types import ATTACHED, LEAST_EVIDENCE, Hit

if TYPE_CHECKING:
    from ragvis.generator.choice import Generator
    from ragvis.media.images import Picture

    PictureSource = str | Path | bytes | Picture
    PictureSources = PictureSource | Sequence[PictureSource] | None  # one, several, none

Pictures = Literal["pixels", "each"]  # how several of them are shown

# A retrieved picture goes to the model only on strong evidence: one too many costs a second and
# misleads (MRAG-Bench: distractor pictures make answers worse than none).
LEAST_PICTURE = 0.5
LEAST_BESIDE_THE_BEST = 0.1  # odds of what counts beside the best picture, as a share of its own
LEAST_BESIDE_A_PICTURE = 0.5  # of a passage, where the question asks for a picture
LEAST_BESIDE_A_PHOTO = 0.9  # where the question brings its own picture
ALL_WORDS = 0.999  # of the query's wording, but for rounding


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How questions are answered.

    Attributes:
        k: most sources to place; None places 4 passages and 2 pictures.
        sampling: how the answer is drawn.
        verify: check each sentence against the sources it cites.
        pictures: "pixels" shows the model as many as its family was trained on, the rest by their
            captions; "each" has it look at every one by itself first, and shows it its notes.
    """

    k: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    verify: bool = False
    pictures: Pictures = "pixels"

    def __post_init__(self) -> None:
        if self.k is not None:
            check_k(self.k)
        if self.pictures not in get_args(Pictures):
            known = ", ".join(get_args(Pictures))
            raise UsageError(f"pictures cannot be {self.pictures!r}", f"One of: {known}.")


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
        self.usage: dict[str, int] = {}  # tokens of the notes, where any were taken
        self._retriever, self._generator, self._options = retriever, generator, options
        self._pictures: dict[str, Picture] = dict(history.pictures)
        given = [] if images is None else as_list(images)
        brought = [media.load_picture(source) for source in given]
        self.query = self._standalone(question, history)
        again = [] if brought else history.attachments(question)
        photos = self._photos = brought or [self._pictures[one.hit.id] for one in again]
        with self.timed("retrieve"):
            ranked, known_as = self._retrieve(options.k, photos)
        self.generation = ranked.generation
        with self.timed("load"):
            spec = generator().spec
        self.attachments = [
            self._attach(history.attached + n, source, picture, known_as)
            for n, (source, picture) in enumerate(zip(given, brought, strict=True))
        ]
        # A model that sees no earlier turn is asked, and shown, all that this one leans on
        self.asked = question if spec.earlier_turns else self.query
        shown = self.attachments if spec.earlier_turns else [*again, *self.attachments]
        least = LEAST_BESIDE_A_PHOTO if photos else LEAST_PICTURE
        hits = _placeable(ranked, least, not photos and Manner.of(question).pictures)
        leans = history.is_followed_by(question)
        # Not one that leans on others: it is joined with them, and they may mean another photo
        if photos and not (spec.links or leans):
            self.asked = named(question, known_as, [hit.text or "" for hit in hits])
            # Asked in words alone it answers better, and the photo is not looked at for nothing
            shown = [replace(one, by_name=self.asked != question) for one in shown]
        self.composed = self._compose(hits, shown, history)
        if not (photos or leans):
            self.composed = _begun(self.composed, hits, Request.of(question), spec)
        goes_on = bool(self.composed.kept) and leans
        # Without evidence there is nothing to answer from, and the model is not asked
        placed = any(source.is_shown for source in self.composed.turn.sources)
        self.has_evidence = placed or (bool(self.composed.sources) and (bool(hits) or goes_on))

    @property
    def is_doubtful(self) -> bool:
        """Whether an answer in words, to a question in words, rests on weak evidence; and the model
        can tell what it thinks of it."""
        in_words = not (self._photos or self.composed.opening)
        best = max((s.hit.score for s in self.composed.sources), default=0.0)
        return self._generator().spec.doubts and in_words and best < WEAK

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count what is done inside among a step's seconds."""
        started = time.perf_counter()
        yield
        self.timing[step] = self.timing.get(step, 0.0) + time.perf_counter() - started

    def _standalone(self, question: str, history: History) -> str:
        """What to search for. Pocket writes a follow-up anew worse than joining it with the
        question it leans on does (scripts/eval_followups.py)."""
        if not history.is_followed_by(question):
            return question
        with self.timed("load"):
            model = self._generator()
        if not model.spec.earlier_turns:
            return history.standalone(question)
        with self.timed("rewrite"):
            anew = rewritten(model, history, question)
        return anew or history.standalone(question)

    def _compose(
        self, hits: Sequence[Hit], shown: Sequence[Attachment], history: History
    ) -> Composed:
        spec, room = self._generator().spec, _room(self._options.k, self._options.sampling)
        held = {s.hit.id for turn in history.past.turns for s in turn.sources}
        images = _images(hits, room, held)
        with self.timed("compose"):
            unopened = self._open_pictures(images)
        new = [hit for hit in images if hit.id not in held | set(unopened)]
        notes = self._notes([*(one.hit for one in shown if not one.by_name), *new])
        with self.timed("compose"):
            sizes = {name: picture.size for name, picture in self._pictures.items()}
            past = history.past
            return compose(self.asked, hits, shown, sizes, spec, room, unopened, past, notes)

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
        self.usage = {f"notes_{name}": count for name, count in asdict(taker.usage).items()}
        return notes

    def _retrieve(self, k: int | None, pictures: Sequence[Picture]) -> tuple[Ranked, str]:
        """What is found; and what the question's own picture is called, where that is known.

        A picture that has a name, by the index or at sight, is looked for by that name; another one
        by its vector. Retrieved pictures are for what the words ask: the photo itself is there
        already.
        """
        most = max(8, k or 0)
        query = self._retriever.query(self.query, list(pictures))
        ranked = self._retriever.rank(query, most)
        if pictures:
            by_words = Query(self.query, {"text": query.vectors["text"]}, encoder=query.encoder)
            others = self._retriever.rank(by_words, most, judge=False).images
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


def _images(hits: Sequence[Hit], room: Room, held: set[str]) -> list[Hit]:
    """The pictures that may be placed: what an earlier turn placed takes no room, unless that
    turn leaves the prompt."""
    images = [h for h in hits if h.modality == "image"]
    return images[: room.images + sum(h.id in held for h in images)]


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


def _room(k: int | None, sampling: Sampling) -> Room:
    if k is None:
        return Room(answer=sampling.max_new_tokens)
    return Room(answer=sampling.max_new_tokens, passages=max(1, k - k // 3), images=k // 3)


def _placeable(ranked: Ranked, least_picture: float, wants_pictures: bool) -> list[Hit]:
    """As ranked: nothing where nothing is relevant; no picture without strong evidence, and no
    passage without any beside a picture that was asked for."""
    best = max((h.score for h in (*ranked.passages, *ranked.images)), default=0.0)
    if best < LEAST_EVIDENCE:
        return []
    images = [h for h in ranked.images if h.score >= least_picture]
    if images:
        best = images[0].score
        images = [h for h in images if not _is_nothing_beside(h.score, best)]
    least_passage = LEAST_BESIDE_A_PICTURE if images and wants_pictures else 0.0
    return [*images, *(h for h in ranked.passages if h.score >= least_passage)]


def _begun(composed: Composed, hits: Sequence[Hit], asked: Request, spec: PromptSpec) -> Composed:
    """With an answer that begins with the picture that was asked for; or named in all its words; or
    described, where no passage comes near: it was placed because it more likely than not is the
    right one, so that a model which does not know it again need not say that there is none."""
    picture = next((h for h in hits if h.modality == "image"), None)
    if picture is None:
        return composed
    best = max((hit.score for hit in hits if hit.modality == "text"), default=0.0)
    is_best = picture.score >= best
    is_named = asked.names and picture.scores.get("words", 0.0) >= ALL_WORDS
    is_described = asked.describes and _is_nothing_beside(best, picture.score)
    number = next((s.n for s in composed.sources if s.hit.id == picture.id), None)
    if number is None or not (
        asked.only or (is_best and (asked.shows or is_named or is_described))
    ):
        return composed
    return opened(composed, spec, SHOWS.format(number))


def _is_nothing_beside(score: float, best: float) -> bool:
    return _odds(score) < LEAST_BESIDE_THE_BEST * _odds(best)


def _odds(score: float) -> float:
    return score / max(1e-6, 1.0 - score)
