"""What a conversation remembers, and what a question means after it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragvis.assistant.small_talk import is_small_talk
from ragvis.composer import Attachment, Past, Turn
from ragvis.types import Source

if TYPE_CHECKING:
    from ragvis.media.images import Picture

# Words that point at something said before, unless the same question names it.
_POINTING = re.compile(
    r"\b(it|its|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|one|"
    r"ones|same|other|others|another|else|former|latter|again|instead)\b",
    re.IGNORECASE,
)
# "How much does it cost to lose a key?" points at nothing.
_EMPTY_IT = re.compile(
    r"\bit (costs?|takes?|allowed|possible|necessary|permitted|forbidden|safe|true) (to|that)\b",
    re.IGNORECASE,
)
_GOING_ON = re.compile(r"\s*(and|but|or|so|also|what about|how about|then)\b", re.IGNORECASE)
_SHORT = 3  # words; "How old?" asks of something
# "How many may I carry over?": what is counted was named before, "how many days do I have?"
_HELPER = r"(?:may|can|could|do|does|did|are|were|was|is|will|would|should|must|have|has)\b"
_COUNTED_BEFORE = re.compile(rf"(\W*(?:and\s+)?how many)(?=\s+{_HELPER})", re.IGNORECASE)
_COUNTED = re.compile(rf"\bhow many(\s+\w[^?.!,;]{{1,60}}?)\s+{_HELPER}", re.IGNORECASE)
# "And the boat, what colour is it?": what is pointed at stands in the question itself
_OWN_TOPIC = re.compile(
    r"\W*(?:(?:and|but|so|now)\s+)?(?:(?:what|how)\s+about\s+|as\s+for\s+)?"
    r"(?:the|my|our|your|an?)\s+[^,?]{1,40},\s*\w",
    re.IGNORECASE,
)
_ASKED = re.compile(r"\b(?:who|whom|whose|when|where|why|how|which|what)\b", re.IGNORECASE)


def leans_on_what_was_said(question: str, brings_picture: bool = False) -> bool:
    """Whether a question needs the ones before it to be understood. "This animal" is in the
    picture that comes with it."""
    if _OWN_TOPIC.match(question):
        return False
    if _GOING_ON.match(question) or _COUNTED_BEFORE.match(question):
        return True
    is_short = len(question.split()) <= _SHORT
    points = _POINTING.search(_EMPTY_IT.sub("", question)) is not None
    return (is_short or points) and not brings_picture


def new_subject(question: str) -> str:
    """What a follow-up asks the same of, "the piano" in "What about the piano?"; "" where it asks
    something else, or points at what was said."""
    opening = _GOING_ON.match(question)
    if opening is None or _POINTING.search(question):
        return ""
    rest = question[opening.end() :]
    return "" if _ASKED.search(rest) else rest.strip(" ?!.,")


@dataclass(frozen=True, slots=True)
class Said:
    """A question and its answer, as a conversation remembers them.

    Attributes:
        question: as it was asked.
        abstained: whether the answer was a refusal, which told nothing.
        turn: what entered the prompt for it, with the answer.
        kept: how many of the earlier turns were in the prompt.
        attachments: pictures that came with the question.
        pictures: of all sources placed as pixels, by hit id.
    """

    question: str
    abstained: bool
    turn: Turn
    kept: int
    attachments: Sequence[Attachment]
    pictures: Mapping[str, Picture]


class History:
    """The turns of one conversation, the numbers of its sources, and its pictures."""

    def __init__(self) -> None:
        self.past = Past()
        self.pictures: dict[str, Picture] = {}  # of sources placed as pixels, by hit id
        self.attached = 0  # pictures that came with questions
        self._sources: dict[int, Source] = {}
        self._last = ""  # the last question that leaned on no other
        self.exchanges: list[tuple[str, str]] = []  # from that one on, with their answers
        self._photos: list[Attachment] = []  # that came with it
        self.count = 0  # answers, refusals too

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source that was placed so far, by number."""
        return tuple(self._sources[n] for n in sorted(self._sources))

    def is_followed_by(self, question: str, brings_picture: bool = False) -> bool:
        """Whether a question leans on the conversation."""
        return bool(self._last) and leans_on_what_was_said(question, brings_picture)

    def standalone(self, question: str) -> str:
        """What to search for where a question leans on the conversation: the question, after the
        one that it leans on; or with what is counted, where that alone is missing.

        The question comes last, as an encoder that can read no more keeps the end.
        """
        counted = _COUNTED.search(self._last)
        if counted and _COUNTED_BEFORE.match(question):
            return _COUNTED_BEFORE.sub(lambda m: m[1] + counted[1], question, count=1)
        return f"{self._last} {question}"

    def attachments(self, question: str) -> Sequence[Attachment]:
        """The pictures that a question is about though it brings none."""
        return self._photos if self.is_followed_by(question) else []

    def add(self, said: Said) -> None:
        """Remember an answer. A refused one told nothing, and its turn is left out; small talk
        leaves no trace, so that the next question leans on what was asked before it."""
        self.count += 1
        if is_small_talk(said.question) and not said.turn.sources:
            return
        if not self.is_followed_by(said.question, bool(said.attachments)):
            self._last = said.question
            self._photos = []
            self.exchanges = []
        self.exchanges.append((said.question, said.turn.answer))
        self._photos = list(said.attachments) or self._photos
        self.attached += len(said.attachments)
        if not said.abstained:
            self._remember(said)
        self._keep(self.pictures | dict(said.pictures))

    def _keep(self, pictures: dict[str, Picture]) -> None:
        """Of all pictures those that may enter a prompt again: a long conversation is no album."""
        needed = {s.hit.id for turn in self.past.turns for s in turn.sources}
        needed |= {one.hit.id for one in self._photos}
        self.pictures = {name: picture for name, picture in pictures.items() if name in needed}

    def _remember(self, said: Said) -> None:
        self._sources |= {s.n: s for s in said.turn.sources}
        numbers = {s.hit.id: s.n for s in self._sources.values()}
        kept = self.past.turns[max(0, len(self.past.turns) - said.kept) :]
        self.past = Past((*kept, said.turn), numbers)
