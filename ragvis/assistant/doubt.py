"""A second look at answers that the model is not sure of, and at what it refuses.

Asked whether its answer is what the sources say, pocket tells an answer that it made up from one
that is there better than the answer's own odds do; it was trained on both questions. And shown one
source by itself it finds an answer that it overlooks among several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ragvis.assistant.verify import composed_again, shown_again
from ragvis.composer import CitationFilter, Composed, settled, without_citations
from ragvis.generator.llava import LlavaGenerator
from ragvis.prompts import IS_IT_SAID, NOT_FOUND, is_cut_refusal, is_refusal, may_refuse
from ragvis.types import ATTACHED, Source

if TYPE_CHECKING:
    from ragvis.assistant.prepared import Prepared
    from ragvis.generator.choice import Generator
    from ragvis.generator.sampling import Usage

_EVEN = 0.5
WEAK = 0.3  # score of the best source below which an answer is looked at again all the same
# Set in view of the tune half of tests/evalset and of its documents by others, the one of a passage
# alone of its household's papers too (scripts/MEASURED.md).
_REFUSED = 0.9  # probability of a refusal from which on no other answer is looked for
_ON_LITTLE = 0.65  # that the sources say so, where they are weak
_ALONE = 0.6  # that a source says so which was shown by itself
_MOST = 4  # passages that are


class Doubt:
    """Decides whether an answer is given.

    Args:
        prepared: the question.
        generator: the model.
        ended: tells how the answer ended that was written last.

    Attributes:
        withheld: what the model wrote and, asked again, did not stand by.
        alone: the prompt that was answered, where one source alone was shown.
    """

    def __init__(
        self, prepared: Prepared, generator: Generator, ended: Callable[[], Usage]
    ) -> None:
        assert isinstance(generator, LlavaGenerator)  # no other one's spec says that it doubts
        self._prepared = prepared
        self._generator = generator
        self._ended = ended
        self._shown = [s for s in prepared.composed.sources if s.is_shown]
        self.withheld: str | None = None
        self.alone: Composed | None = None

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
            # Half a sentence cannot be judged: it is given where the model was to answer
            is_cut = odds < _EVEN and self._ended().is_cut
            if not is_refusal(text) and (is_cut or self._is_said(text, self._shown, self._bar)):
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
        if any(s.placed == "pixels" and s.hit.id.startswith(ATTACHED) for s in self._shown):
            return NOT_FOUND  # a passage alone does not know what the question's photo shows
        passages = [source for source in self._shown if source.placed == "text"]
        texts = (self._of(source) for source in passages[:_MOST])
        return next(filter(None, texts), NOT_FOUND)

    def _of(self, source: Source) -> str:
        """What one passage by itself answers, "" where that is nothing the model stands by."""
        spec = self._generator.spec
        composed = composed_again(self._prepared.asked, [source], {}, spec, as_numbered=True)
        with self._prepared.timed("check"):
            odds, _ = self._generator.first(composed.prompt, [], NOT_FOUND)
        if odds >= _EVEN:
            return ""
        before = self._generator.usage
        coming = self._generator.stream(composed.prompt, [], self._prepared.sampling)
        text = "".join(CitationFilter({source.n}).of(coming))
        is_cut = self._generator.usage.is_cut and not is_cut_refusal(text)
        if not is_refusal(text) and (is_cut or self._is_said(text, [source], _ALONE)):
            self.withheld, self.alone = None, composed
            return text
        self._prepared.count("alone", self._generator.usage)
        self._generator.usage = before  # that of the prompt which is refused
        return ""
