"""Judging the best passages with the model that answers: would it answer from this one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragvis.composer import Room, compose
from ragvis.generator.odds import logit, probability
from ragvis.prompts import NOT_FOUND
from ragvis.types import Hit

if TYPE_CHECKING:
    from ragvis.generator.choice import Generator

# Their ratio was fitted on the tune half of tests/evalset with pocket; where both agree, nothing
# changes.
_OWN, _JUDGED = 0.67, 0.33


class Reranker:
    """Puts passages in a new order by what a LLaVA model says of each alone.

    The question goes to the model in its usual prompt with one passage as its only source. What is
    taken is how likely its answer does not begin as its refusal does: one forward pass a passage,
    the shared beginning of the prompts computed once, and no text written. (Asked whether the
    passage answers the question, yes or no, pocket told less.) The odds of that are weighed with
    the odds of the passage's own score. Pictures are left as they are: on the eval set judging
    them made their order worse.

    Args:
        generator: the model.
        depth: passages that are judged.
    """

    def __init__(self, generator: Generator, depth: int = 8) -> None:
        from ragvis.generator.judge import Judge

        self._judge = Judge(generator)
        self._spec = generator.spec
        self._depth = depth

    def reranked(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """The passages, best first; the judged ones have ``scores["answers"]``.

        Raises:
            PromptTooLong: the question alone does not fit the model.
            ModelError: the model fails.
        """
        head, rest = list(hits[: self._depth]), list(hits[self._depth :])
        prompts = [self._prompt(question, hit) for hit in head]
        refusals = self._judge.first_words([(p, ()) for p in prompts], [NOT_FOUND])[:, 0]
        judged = [_weighed(hit, 1.0 - r) for hit, r in zip(head, refusals.tolist(), strict=True)]
        return sorted(judged, key=lambda hit: -hit.score) + rest

    def _prompt(self, question: str, hit: Hit) -> str:
        return compose(question, [hit], [], {}, self._spec, Room(answer=1)).prompt


def _weighed(hit: Hit, answers: float) -> Hit:
    odds = _OWN * logit(hit.score) + _JUDGED * logit(answers)
    scores = {**hit.scores, "answers": answers, "first": hit.score}
    return replace(hit, score=probability(odds), scores=scores)
