"""An answer cut into its sentences, each with the citations that follow it."""

from __future__ import annotations

import re
from itertools import pairwise

# Where a sentence ends: after its full stop and its citations, at a space or the end of a line.
# "38.5", "e.g. this" and "Mr Quist" go on: what comes next must look like a beginning.
_NOT_AFTER = "".join(rf"(?<!\b{word})" for word in ("Mr", "Mrs", "Ms", "Dr", "St", "No"))
_END = re.compile(
    r"(?:" + _NOT_AFTER + r"[.!?][\"'”’)]*(?:\s*\[\d+\])*|\])(?=\s+[\"'“‘(]*[A-Z0-9])|\n+"
)


def sentences(text: str) -> list[tuple[int, int]]:
    """Character offsets [start, end) of each sentence, without the spaces around it."""
    cuts = [0, *(m.end() for m in _END.finditer(text)), len(text)]
    spans = (_trimmed(text, a, b) for a, b in pairwise(cuts))
    return [(a, b) for a, b in spans if re.search(r"\w", re.sub(r"\[\d+\]", "", text[a:b]))]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
