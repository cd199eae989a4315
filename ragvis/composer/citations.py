"""Citations that hold by construction: only numbers that the composer gave stay in an answer."""

from __future__ import annotations

import re
from collections.abc import Collection

from ragvis.types import Citation

# "[2]", and the lists that models write: "[1, 2]", "[1][2]" is two of the first kind.
_CITATION = re.compile(r"\s?\[\s*(\d+(?:\s*[,;]\s*\d+)*)\s*\]")
_LONGEST = 32  # characters a citation can be while it is still coming in


def keep_valid(text: str, numbers: Collection[int]) -> str:
    """The text with invented numbers removed and lists written as ``[1][2]``."""

    def replace(match: re.Match[str]) -> str:
        known = [n for n in re.findall(r"\d+", match[1]) if int(n) in numbers]
        lead = " " if match[0][0].isspace() else ""
        return lead + "".join(f"[{int(n)}]" for n in dict.fromkeys(known)) if known else ""

    return _CITATION.sub(replace, text)


def find_citations(text: str) -> tuple[Citation, ...]:
    """Every ``[n]`` of a text that went through ``keep_valid``."""
    return tuple(Citation(int(m[1]), m.start(), m.end()) for m in re.finditer(r"\[(\d+)\]", text))


class CitationFilter:
    """``keep_valid`` for a text that arrives in pieces: holds back what may be a citation.

    The concatenation of everything that ``feed`` and ``finish`` return equals ``keep_valid`` of
    the whole text.
    """

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = numbers
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown now."""
        self._held += piece
        cut = self._safe_length()
        ready, self._held = self._held[:cut], self._held[cut:]
        return keep_valid(ready, self._numbers)

    def finish(self) -> str:
        """The rest."""
        ready, self._held = self._held, ""
        return keep_valid(ready, self._numbers)

    def _safe_length(self) -> int:
        opened = self._held.rfind("[")
        tail = self._held[opened:] if opened >= 0 else ""
        if len(tail) <= _LONGEST and re.fullmatch(r"\[[\d\s,;]*", tail):
            # the space before a citation goes with it
            return opened - (opened > 0 and self._held[opened - 1].isspace())
        return len(self._held) - 1 if self._held[-1:].isspace() else len(self._held)
