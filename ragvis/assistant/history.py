"""What a conversation remembers, and what a question means after it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def leans_on_what_was_said(question: str) -> bool:
    """Whether a question needs the ones before it to be understood."""
    words = question.split()
    question = _EMPTY_IT.sub("", question)
    return bool(len(words) <= _SHORT or _POINTING.search(question) or _GOING_ON.match(question))


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

    def is_followed_by(self, question: str) -> bool:
        """Whether a question leans on the conversation."""
        return bool(self._last) and leans_on_what_was_said(question)

    def standalone(self, question: str) -> str:
        """What to search for: the question, after the one that it leans on.

        The question comes last, as an encoder that can read no more keeps the end.
        """
        return f"{self._last} {question}" if self.is_followed_by(question) else question

    def attachments(self, question: str) -> Sequence[Attachment]:
        """The pictures that a question is about though it brings none."""
        return self._photos if self.is_followed_by(question) else []

    def add(self, said: Said) -> None:
        """Remember an answer. A refused one told nothing, and its turn is left out."""
        self.count += 1
        if not self.is_followed_by(said.question):
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
