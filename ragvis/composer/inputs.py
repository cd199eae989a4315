"""What a prompt is composed of: what the model takes, what was brought, what was said before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ragvis.conversation import find_template
from ragvis.types import Hit, Source

Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """What the composer has to know of a model."""

    template: str
    context_limit: int  # tokens, prompt and answer together
    pixels: int  # most retrieved pictures that enter as pixels
    count: Callable[[str], int]  # tokens of a prompt string, <image> as one, BOS included
    picture_tokens: Callable[[Sequence[Size]], int]  # tokens pictures of these sizes become
    special_tokens: tuple[str, ...] = ()  # of its tokenizer
    earlier_turns: bool = True  # whether a conversation's earlier turns enter its prompts
    refuses_bare: bool = True  # whether it says what a picture does not show when only chatting
    exact: bool = True  # whether counts are the model's own, and not estimates
    goes_on: bool = True  # whether it can be given the first words of its answer
    links: bool = True  # whether it gets from a photo to what the sources say of the thing in it
    doubts: bool = False  # whether it tells, shown a source alone, that this does not answer

    @property
    def markers(self) -> tuple[str, ...]:
        """What text from outside must not contain."""
        return (*find_template(self.template).markers, *self.special_tokens)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture that came with the question, and what the index knows of it."""

    hit: Hit
    size: Size
    known_as: str = ""  # by the index, which has a picture that shows the same, or the encoder
    unseen: bool = False  # the question names it instead, and the model is not shown it


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be placed."""

    answer: int = 256  # tokens kept free for the answer
    passages: int = 4
    images: int = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier turn of a conversation, as it went into its prompt."""

    body: str  # the user's message: sources and question
    answer: str
    sources: tuple[Source, ...]  # that it placed
    sizes: tuple[Size, ...]  # of those placed as pixels


@dataclass(frozen=True, slots=True)
class Past:
    """What a conversation brings to its next prompt."""

    turns: tuple[Turn, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)  # of all sources so far, by hit id
