"""A follow-up question, written anew by the model so that it can be searched for by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragvis.composer import beside
from ragvis.generator.sampling import Sampling
from ragvis.prompts import REWRITE

if TYPE_CHECKING:
    from ragvis.assistant.history import History
    from ragvis.generator.choice import Generator

_LENGTH = Sampling(max_new_tokens=64)
_WORD = re.compile(r"[^\W_]{3,}")
_NEW = 1 / 3  # share of its words that nobody said before: beyond it, it asks something else
_LABEL = re.compile(r"^\W*(?:(?:rewritten |stand-?alone )?question\s*:)?\s*", re.IGNORECASE)


def rewritten(generator: Generator, history: History, question: str) -> str | None:
    """The question with what it leans on in it, or None where the model wrote no such thing.

    It is asked at the end of the conversation as it stands, of which nothing is computed again,
    and which can be gone on with after it.

    Args:
        generator: any model that sees earlier turns.
        history: at least one exchange.
        question: as asked.

    Raises:
        ModelError: the model fails.
    """
    said = " ".join(part for exchange in history.exchanges for part in exchange)
    message = REWRITE.format(history.exchanges[0][0], question)
    composed = beside(message, generator.spec, history.past, _LENGTH.max_new_tokens)
    if composed is None:
        return None
    pictures = [history.pictures[s.hit.id] for s in composed.pixel_sources]
    lines = "".join(generator.stream(composed.prompt, pictures, _LENGTH)).strip().splitlines()
    written = _LABEL.sub("", lines[0]).strip(' "”') if lines else ""
    return written if _is_of(written, said, question) else None


def _is_of(written: str, before: str, question: str) -> bool:
    """Whether it says something of the conversation that the question does not, and little else."""
    words, asked, said = (set(_WORD.findall(t.lower())) for t in (written, question, before))
    return bool((words - asked) & said) and len(words - asked - said) <= _NEW * len(words)
