"""The first words of an answer, where more is known than the model sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ragvis.composer.compose import Composed
from ragvis.composer.inputs import PromptSpec
from ragvis.prompts import may_refuse

_TIGHT = ".,;:!?')]"  # stand at the word before them


def opened(composed: Composed, spec: PromptSpec, opening: str) -> Composed:
    """A prompt that goes on into the answer; as it was where there is no room for that, or the
    model cannot go on from there."""
    if not spec.goes_on:
        return composed
    prompt = composed.prompt + ("" if composed.prompt[-1:].isspace() else " ") + opening
    ledger = composed.ledger
    more = spec.count(prompt) - spec.count(composed.prompt)
    left = ledger.context_limit - ledger.reserved_for_answer - ledger.total
    if more > left:
        return composed
    ledger = replace(ledger, question=ledger.question + more, total=ledger.total + more)
    return replace(composed, prompt=prompt, ledger=ledger, opening=opening)


def joined(opening: str, pieces: Iterable[str]) -> Iterator[str]:
    """The answer from its first word on. An opening that is a sentence stands whatever the model
    goes on with; another one comes not at all where that is a refusal, or nothing."""
    coming = settled(pieces) if opening else iter(pieces)
    if opening and not may_refuse(first := next(coming)):
        # Some tokenizers leave out the space before a first word
        yield opening + ("" if first[0] in _TIGHT or first[0].isspace() else " ") + first
    elif opening.endswith("."):
        yield opening
        return
    elif opening:
        yield first
    yield from coming


def settled(pieces: Iterable[str]) -> Iterator[str]:
    """The same, those in the beginning together, once they are no refusal so far; there is always
    one."""
    coming, held = iter(pieces), ""
    for piece in coming:
        held += piece
        if not may_refuse(held):
            break
    yield held
    yield from coming


def unasked(composed: Composed) -> Composed:
    """The model was not asked: nothing entered it."""
    ledger = composed.ledger
    ledger = replace(ledger, system=0, images=0, passages=0, history=0, question=0, total=0)
    sources = tuple(s for s in composed.turn.sources if not s.is_shown)
    turn = replace(composed.turn, sources=sources)
    return replace(composed, prompt="", turn=turn, kept=(), ledger=ledger)
