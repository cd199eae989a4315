"""Where a text may be cut for an excerpt: between words, and never inside a character."""

from __future__ import annotations

import functools
from typing import Any

_REACH = 40  # characters that are looked over for a boundary
_FLAG_LETTERS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))


def word_start(text: str, at: int) -> int:
    """The first place from ``at`` on where an excerpt may begin."""
    if at <= 0 or at >= len(text):
        return max(0, min(at, len(text)))
    if text[at - 1].isspace():
        return at
    space = next((i for i in range(at, min(at + _REACH, len(text))) if text[i].isspace()), None)
    if space is not None:
        return space + 1
    return min((cut for cut in _cuts(text, at) if cut >= at), default=at)


def word_end(text: str, at: int) -> int:
    """The last place up to ``at`` where an excerpt may end."""
    if at <= 0 or at >= len(text):
        return max(0, min(at, len(text)))
    if text[at].isspace():
        return at
    back = range(at - 1, max(0, at - _REACH), -1)
    space = next((i for i in back if text[i].isspace()), None)
    if space is not None:
        return space
    return max((cut for cut in _cuts(text, at) if cut <= at), default=at)


def beginning(text: str, width: int) -> str:
    """The beginning of a line, at most so many characters with the mark that it goes on."""
    if len(text) <= width:
        return text
    return text[: word_end(text, width - 1)].rstrip() + "…"


def _cuts(text: str, at: int) -> list[int]:
    """Boundaries of words near a place, by Unicode's rules (UAX 29), which know scripts without
    spaces; of characters as they are read (grapheme clusters), where no word begins or ends."""
    first, last = max(0, at - _REACH), min(len(text), at + _REACH)
    while first > 0 and text[first] in _FLAG_LETTERS:  # they are paired from the first one on
        first -= 1
    word, grapheme = (
        {first + edge for match in pattern.finditer(text[first:last]) for edge in match.span()}
        for pattern in _patterns()
    )
    for found in (word & grapheme, grapheme):
        # The ends of the part are boundaries only where the text ends there too
        inside = [cut for cut in found if first < cut < last or cut in (0, len(text))]
        if any(cut <= at for cut in inside) and any(cut >= at for cut in inside):
            return inside
    return []


@functools.cache
def _patterns() -> tuple[Any, Any]:
    import regex

    return regex.compile(r"(?w)\b"), regex.compile(r"\X")
