"""A second look at answers that the model is not sure of.

Asked whether its answer is what the sources say, pocket tells an answer that it made up from one
that is there better than the answer's own odds do; it was trained on both questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ragvis.assistant.verify import shown_again
from ragvis.composer import without_citations
from ragvis.generator.llava import LlavaGenerator
from ragvis.prompts import IS_IT_SAID, NOT_FOUND, is_refusal

if TYPE_CHECKING:
    from ragvis.assistant.prepared import Prepared
    from ragvis.generator.choice import Generator

_EVEN = 0.5
WEAK = 0.3  # score of the best source below which an answer is looked at again all the same
# Set in view of the tune half of tests/evalset and of its documents by others: the strictest that
# took none of their right answers, by odds that had been written down before (scripts/MEASURED.md).
_REFUSED = 0.9  # probability of a refusal from which on no other answer is looked for
_ON_LITTLE = 0.65  # that the sources say so, where they are weak


class Doubt:
    """Decides whether an answer is given.

    Attributes:
        withheld: what the model wrote and, asked again, did not stand by.
    """

    def __init__(self, prepared: Prepared, generator: Generator) -> None:
        assert isinstance(generator, LlavaGenerator)  # no other one's spec says that it doubts
        self._prepared = prepared
        self._generator = generator
        self.withheld: str | None = None

    def settled(self, written: Callable[[str], Iterator[str]]) -> Iterator[str]:
        """The answer as it is written, where it rests on good evidence or the model is sure that
        there is none; else in one piece, or a refusal. Where it is about to refuse, the answer
        that it would give otherwise is looked at.

        Args:
            written: writes an answer, its first words given.

        Raises:
            ModelError: the model fails.
        """
        odds, other = self._generator.first(*self._prepared.shown_to_model, NOT_FOUND)
        if odds >= _REFUSED or (odds < _EVEN and self._prepared.best >= WEAK):
            yield from written("")
            return
        text = "".join(written(other if odds >= _EVEN else ""))
        if is_refusal(text) or self._is_said(text):
            yield text
            return
        self.withheld = text.strip() if odds < _EVEN else None
        yield NOT_FOUND

    def _is_said(self, text: str) -> bool:
        """Whether the model, shown the same sources, says that they say so."""
        prepared = self._prepared
        claim = IS_IT_SAID.format(prepared.asked, without_citations(text.strip()))
        shown = [s for s in prepared.composed.sources if s.is_shown]
        with prepared.timed("check"):
            asked = shown_again(claim, shown, prepared.pictures, self._generator.spec)
            odds, _ = self._generator.first(*asked, "Yes")
        return odds >= (_EVEN if prepared.best >= WEAK else _ON_LITTLE)
