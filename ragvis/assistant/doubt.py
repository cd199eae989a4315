"""A second look at answers that the model is not sure of, and at what it refuses.

Asked whether its answer is what the sources say, pocket tells an answer that it made up from one
that is there better than the answer's own odds do; it was trained on both questions. And shown one
source by itself it finds an answer that it overlooks among several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ragvis.assistant.verify import shown_again
from ragvis.composer import CitationFilter, settled, without_citations
from ragvis.generator.llava import LlavaGenerator
from ragvis.prompts import IS_IT_SAID, NOT_FOUND, is_refusal, may_refuse
from ragvis.types import Source

if TYPE_CHECKING:
    from ragvis.assistant.prepared import Prepared
    from ragvis.assistant.verify import Prompt
    from ragvis.generator.choice import Generator

_EVEN = 0.5
WEAK = 0.3  # score of the best source below which an answer is looked at again all the same
# Set in view of the tune half of tests/evalset and of its documents by others, the last one of its
# household's papers too (scripts/MEASURED.md).
_REFUSED = 0.9  # probability of a refusal from which on no other answer is looked for
_ON_LITTLE = 0.65  # that the sources say so, where they are weak
_ALONE = 0.6  # that a source says so which was shown by itself


class Doubt:
    """Decides whether an answer is given.

    Attributes:
        withheld: what the model wrote and, asked again, did not stand by.
        prompt: the one that was answered, where only one source was shown; "" for the usual one.
    """

    def __init__(self, prepared: Prepared, generator: Generator) -> None:
        assert isinstance(generator, LlavaGenerator)  # no other one's spec says that it doubts
        self._prepared = prepared
        self._generator = generator
        self._shown = [s for s in prepared.composed.sources if s.is_shown]
        self.withheld: str | None = None
        self.prompt = ""

    def settled(self, written: Callable[[str], Iterator[str]]) -> Iterator[str]:
        """The answer as it is written, where it rests on good evidence or the model is sure that
        there is none; else in one piece, or a refusal. Where it is about to refuse, the answer
        that it would give otherwise is looked at, and then each source by itself.

        Args:
            written: writes an answer, its first words given.

        Raises:
            ModelError: the model fails.
        """
        odds, other = self._generator.first(*self._prepared.shown_to_model, NOT_FOUND)
        if odds >= _REFUSED:
            yield from written("")
        elif odds < _EVEN and self._prepared.best >= WEAK:
            yield from self._unless_refused(settled(written("")))
        else:
            text = "".join(written(other if odds >= _EVEN else ""))
            if not is_refusal(text) and self._is_said(text, self._shown, self._bar):
                yield text
                return
            if odds < _EVEN and not is_refusal(text):
                self.withheld = text.strip()
            yield self._alone()

    def _unless_refused(self, pieces: Iterator[str]) -> Iterator[str]:
        first = next(pieces)
        if may_refuse(first):  # all of it
            yield self._alone()
            return
        yield first
        yield from pieces

    @property
    def _bar(self) -> float:
        return _EVEN if self._prepared.best >= WEAK else _ON_LITTLE

    def _is_said(self, text: str, sources: list[Source], bar: float) -> bool:
        """Whether the model, shown these sources, says that they say so."""
        prepared = self._prepared
        claim = IS_IT_SAID.format(prepared.asked, without_citations(text.strip()))
        with prepared.timed("check"):
            asked = shown_again(claim, sources, prepared.pictures, self._generator.spec)
            odds, _ = self._generator.first(*asked, "Yes")
        return odds >= bar

    def _alone(self) -> str:
        """The answer from the first passage that by itself is answered from, where the model stands
        by that; else a refusal."""
        prepared = self._prepared
        for source in self._shown:
            if source.placed != "text":
                continue
            with prepared.timed("check"):
                asked = shown_again(
                    prepared.asked, [source], {}, self._generator.spec, as_numbered=True
                )
                odds, _ = self._generator.first(*asked, NOT_FOUND)
            if odds >= _EVEN:
                continue
            text = self._written(asked, source)
            if not is_refusal(text) and self._is_said(text, [source], _ALONE):
                self.withheld, self.prompt = None, asked[0]
                return text
        return NOT_FOUND

    def _written(self, asked: Prompt, source: Source) -> str:
        """What the model writes of one source; its tokens are counted by themselves."""
        answered = self._generator.usage
        coming = self._generator.stream(*asked, self._prepared.sampling)
        text = "".join(CitationFilter({source.n}).of(coming))
        self._prepared.count("alone", self._generator.usage)
        self._generator.usage = answered
        return text
