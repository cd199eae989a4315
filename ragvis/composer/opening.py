"""The first words of an answer, where more is known than the model sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ragvis.composer.compose import Composed, PromptSpec
from ragvis.prompts import NOT_FOUND

_TIGHT = ".,;:!?')]"  # stand at the word before them


def opened(composed: Composed, spec: PromptSpec, opening: str) -> Composed:
    """A prompt that goes on into the answer; as it was where there is no room for that, or the
    model cannot go on from there."""
    prompt = composed.prompt + ("" if composed.prompt[-1:].isspace() else " ") + opening
    ledger = composed.ledger
    more = spec.count(prompt) - spec.count(composed.prompt)
    left = ledger.context_limit - ledger.reserved_for_answer - ledger.total
    if more > left or not spec.goes_on:
        return composed
    ledger = replace(ledger, question=ledger.question + more, total=ledger.total + more)
    return replace(composed, prompt=prompt, ledger=ledger, opening=opening)


def joined(opening: str, pieces: Iterable[str]) -> Iterator[str]:
    """The answer from its first word on: the opening comes with what the model goes on with, and
    not at all where that is a refusal, or nothing."""
    coming, held = iter(pieces), ""
    while opening and NOT_FOUND.startswith(held.strip()):
        piece = next(coming, None)
        if piece is None:
            yield held
            return
        held += piece
    if opening:  # some tokenizers leave out the space before a first word
        yield opening + ("" if held[0] in _TIGHT or held[0].isspace() else " ") + held
    yield from coming
