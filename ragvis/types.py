"""The values that pass between the parts, and out of ragvis as JSON (schema_version 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ragvis.errors import UsageError

SCHEMA_VERSION = 1
# Below this score of its best hit, nothing in an index is relevant to a query. It is low, and was
# chosen on the tune half of tests/evalset, its documents by others and its household's papers, so
# that it loses hardly any question that has an answer. What looks related and is not, the model
# refuses by itself.
LEAST_EVIDENCE = 0.01

ATTACHED = "a"  # what the ids of pictures begin with that came with a question

Modality = Literal["text", "image"]
MODALITIES: tuple[Modality, ...] = ("text", "image")
ModalityChoice = Literal["any", "text", "image"]
# What a search may be asked for, in the words that people use
ModalityWord = Literal["any", "text", "image", "passage", "document", "picture", "photo"]
_MODALITY_OF: dict[str, ModalityChoice] = {
    "any": "any",
    "text": "text",
    "passage": "text",
    "document": "text",
    "image": "image",
    "picture": "image",
    "photo": "image",
}
Placement = Literal["text", "pixels", "caption", "note", "name"]
Box = tuple[float, float, float, float]
Tell = Callable[[str], None]  # takes one-line notices


def silent(_: str) -> None:
    """Notices are for a terminal; a library says nothing."""


class Advice(str):
    """A notice that need not be repeated: the command line gives it once a day."""


def modality_of(word: str) -> ModalityChoice:
    """The modality that a word means, as JSON has it; capitals and a plural's s do not count.

    Raises:
        UsageError: it means none.
    """
    plain = word.strip().lower() if isinstance(word, str) else ""
    found = _MODALITY_OF.get(plain) or _MODALITY_OF.get(plain.removesuffix("s"))
    if found is None:
        raise UsageError(f"unknown modality {word!r}", f"One of: {', '.join(_MODALITY_OF)}.")
    return found


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved item.

    Attributes:
        id: stable name of the item inside its index.
        modality: "text" (a passage) or "image".
        path: the file as it was given to ``index``.
        title: title of the document, or the picture's name.
        section: the nearest heading above a passage, if any.
        page: page number from 1, or None.
        span: character offsets [start, end) in the extracted text of the file (or page).
        bbox: left, bottom, right, top of an embedded picture on its page, in PDF points.
        sha256: of the file when it was indexed.
        score: 0..1, calibrated against what unrelated queries score on the same index.
        scores: what it is made of: ``text`` and ``image`` are cosines with the query's text and
            picture, ``text_above`` and ``image_above`` how many spreads that lies above what
            unrelated queries reach, ``words`` the share of the query's wording, ``surprise`` how
            much rarer that is than by chance (nats), ``answers`` a reranker's judgement.
        text: the passage; for a picture its caption or alt text, or None.
        file: absolute path of the file on this machine.
        ordinal: which picture of its document this is, from 0.
        paths: all files that hold the same bytes, as they were given; ``path`` is the first, and
            those that are not there any more are the last.
        duplicates: paths of hits that say the same and were folded into this one.
        files: the same files by their absolute paths; ``file`` is the first.
        looks_like: what the encoder calls a picture that has no caption; "" where
            it is not sure, or was not loaded, as for ``like`` alone.
        metadata: what its document says about itself, such as a front matter's keys: key -> value.
    """

    id: str
    modality: Modality
    path: str
    title: str
    section: str
    page: int | None
    span: tuple[int, int] | None
    bbox: Box | None
    sha256: str
    score: float
    scores: dict[str, float] = field(hash=False)
    text: str | None
    file: str
    ordinal: int = 0
    paths: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    looks_like: str = ""
    files: tuple[str, ...] = field(default=(), compare=False)
    metadata: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """File name without its folders."""
        return self.path.replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def is_attached(self) -> bool:
        """Whether it came with the question and is no item of the index."""
        return self.id.startswith(ATTACHED)

    def to_dict(self) -> dict[str, Any]:
        """The HIT object of the JSON schema."""
        return _jsonable(asdict(self))


@dataclass(frozen=True, slots=True)
class Source:
    """A hit under its number in a prompt; or a photo of the question's that is not in it, as the
    question says the photo's name instead (``placed`` is "name").

    Attributes:
        note: what the model said of a picture that went in as that; or what a photo that did not
            go in was taken for.
    """

    n: int
    hit: Hit
    placed: Placement
    cited: bool = False
    note: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether the model is shown it, in whatever way."""
        return self.placed != "name"

    def to_dict(self) -> dict[str, Any]:
        """The hit's keys with ``n``, ``cited``, ``placed`` and ``note`` beside them."""
        own = {"cited": self.cited, "placed": self.placed, "note": self.note}
        return {"n": self.n, **self.hit.to_dict(), **own}


@dataclass(frozen=True, slots=True)
class Citation:
    """Where ``[n]`` stands in the answer, as character offsets [start, end)."""

    n: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Support:
    """How far a sentence of an answer, at [start, end), is borne out by the sources it cites.

    ``score`` is 0..1; ``supported`` says whether it is enough.
    """

    start: int
    end: int
    score: float
    supported: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """A source that did not fit, with the tokens it would have taken."""

    id: str
    reason: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the tokens of a prompt went. The parts add up to ``total``, counts in tokens.

    They are exact, unless a server counts by itself and they had to be ``estimated``.
    """

    context_limit: int
    reserved_for_answer: int
    system: int
    images: int
    passages: int
    history: int
    question: int
    total: int
    dropped: tuple[Dropped, ...] = ()
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What answered."""

    name: str
    revision: str
    quantization: str
    device: str
    engine: str


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What was searched."""

    path: str
    generation: int
    encoder: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and everything it rests on; ``to_dict`` is the JSON of ``ragvis ask``."""

    question: str
    text: str
    abstained: bool
    citations: tuple[Citation, ...]
    sources: tuple[Source, ...]
    ledger: Ledger
    model: ModelInfo
    index: IndexInfo | None
    prompt: str = ""
    usage: dict[str, int] = field(default_factory=dict, hash=False)
    timing_s: dict[str, float] = field(default_factory=dict, hash=False)
    support: tuple[Support, ...] | None = None  # of each sentence, where that was asked for
    finish_reason: str = "stop"  # "length" where it was cut, or a server's own word
    withheld: str | None = None  # what the model wrote and, asked again, did not stand by

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the contract (schema_version 1)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "question": self.question,
            "answer": self.text,
            "abstained": self.abstained,
            "finish_reason": self.finish_reason,
            "citations": [asdict(c) for c in self.citations],
            "sources": [s.to_dict() for s in self.sources],
            "ledger": _jsonable(asdict(self.ledger)),
            "model": asdict(self.model),
            "index": asdict(self.index) if self.index else None,
            "usage": dict(self.usage),
            "support": None if self.support is None else [asdict(s) for s in self.support],
            "withheld": self.withheld,
            "timing_s": {k: round(v, 4) for k, v in self.timing_s.items()},
        }


def _jsonable(value: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
