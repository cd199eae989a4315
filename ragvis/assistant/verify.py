"""Checking an answer, sentence by sentence, against the sources that it cites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragvis.composer import (
    Attachment,
    Composed,
    Past,
    PromptSpec,
    Room,
    compose,
    find_citations,
    sentences,
    without_citations,
)
from ragvis.generator.odds import logit, probability
from ragvis.prompts import DOES_IT_SAY, NOT_FOUND
from ragvis.types import Source, Support

if TYPE_CHECKING:
    from ragvis.generator.choice import Generator
    from ragvis.media.images import Picture

    Prompt = tuple[str, Sequence[Picture]]

# Fitted on the answers that the first pocket gave to the tune half of tests/evalset (65, 48 of
# them right): at odds of one, 2 right ones were marked and 7 of the 17 wrong ones. Not fitted anew
# since: of the fourth pocket's 73 answers 15 of 59 right ones are marked, and 7 of 14 wrong ones.
_ANSWERS, _SAYS, _CONSTANT = 0.385, 0.750, 0.035


class Verifier:
    """Judges with the model that answered, which is shown the cited sources and no others.

    Two things are asked, each for one forward pass: whether those sources say what the sentence
    says, yes or no; and, as yes or no alone tells little of a small model, how likely it would
    answer the question from them at all, rather than refuse. Their odds are weighed.
    """

    def __init__(self, generator: Generator) -> None:
        from ragvis.generator.judge import Judge

        self._judge = Judge(generator)
        self._spec = generator.spec

    def check(
        self, question: str, text: str, sources: Sequence[Source], pictures: dict[str, Picture]
    ) -> tuple[Support, ...]:
        """How far each sentence of an answer is borne out.

        Args:
            question: that was answered.
            text: the answer, with its citations.
            sources: that were placed; a sentence without a citation is checked against them all.
            pictures: those of the sources placed as pixels, by the id of their hits.

        Raises:
            ModelError: the model fails.
        """
        spans = sentences(text)
        cited = [_cited(text[start:end], sources) for start, end in spans]
        claims = [DOES_IT_SAY.format(without_citations(text[start:end])) for start, end in spans]
        prompts = [shown_again(question, own, pictures, self._spec) for own in cited]
        prompts += [
            shown_again(c, own, pictures, self._spec) for c, own in zip(claims, cited, strict=True)
        ]
        words = self._judge.first_words(prompts, [NOT_FOUND, "Yes", "yes", "No", "no"])
        answers = 1.0 - words[: len(spans), 0]
        yes, no = words[len(spans) :, 1:3].sum(axis=1), words[len(spans) :, 3:].sum(axis=1)
        says = yes / (yes + no + 1e-9)
        scores = map(_weighed, answers.tolist(), says.tolist())
        return tuple(
            Support(start, end, round(score, 4), score >= 0.5)
            for (start, end), score in zip(spans, scores, strict=True)
        )


def shown_again(
    asked: str,
    sources: Sequence[Source],
    pictures: dict[str, Picture],
    spec: PromptSpec,
) -> Prompt:
    """Another question about sources that were placed, with its pictures."""
    composed = composed_again(asked, sources, pictures, spec)
    return composed.prompt, [pictures[s.hit.id] for s in composed.pixel_sources]


def composed_again(
    asked: str,
    sources: Sequence[Source],
    pictures: dict[str, Picture],
    spec: PromptSpec,
    as_numbered: bool = False,
) -> Composed:
    """Its prompt; the sources numbered from 1, or as they were."""
    shown = [s.hit for s in sources if s.placed == "pixels"]
    attached = [Attachment(hit, pictures[hit.id].size) for hit in shown]
    hits = [s.hit for s in sources if s.placed != "pixels"]
    room = Room(answer=1, passages=len(hits), images=len(hits))
    notes = {s.hit.id: s.note for s in sources if s.placed == "note"}
    past = Past(numbers={s.hit.id: s.n for s in sources} if as_numbered else {})
    return compose(asked, hits, attached, {}, spec, room, past=past, notes=notes)


def _cited(sentence: str, sources: Sequence[Source]) -> list[Source]:
    numbers = {c.n for c in find_citations(sentence)}
    shown = [s for s in sources if s.is_shown]
    return [s for s in shown if s.n in numbers] or shown


def _weighed(answers: float, says: float) -> float:
    odds = _ANSWERS * logit(answers) + _SAYS * logit(says) + _CONSTANT
    return probability(odds)
