"""Hits that say the same, and hits that go on from one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ragvis.retriever.scoring import Scored
from ragvis.types import Hit

_SAME_PICTURE = 0.97  # cosine of two pictures' vectors
_SAME_TEXT = 0.8  # share of common word triples
_MOST_JOINED = 3  # passages in one hit
Found = tuple[Hit, Scored]


def fold(found: Sequence[Found]) -> list[Found]:
    """Each near-duplicate folded into the best of its kind, which lists its ``path`` in
    ``duplicates``."""
    kept: list[Found] = []
    for hit, scored in found:
        first = next((i for i, other in enumerate(kept) if _is_same((hit, scored), other)), None)
        if first is None:
            kept.append((hit, scored))
            continue
        best, of_best = kept[first]
        also = tuple(dict.fromkeys((*best.duplicates, hit.path)))
        kept[first] = (replace(best, duplicates=also), of_best)
    return kept


def _is_same(a: Found, b: Found) -> bool:
    if a[0].modality == "image":
        return float(a[1].vector @ b[1].vector) >= _SAME_PICTURE
    one, two = a[0].text or "", b[0].text or ""
    # Two versions of a page that differ in a number are not the same at all.
    if re.findall(r"\d+", one) != re.findall(r"\d+", two):
        return False
    return _common(_triples(one), _triples(two)) >= _SAME_TEXT


def _triples(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def _common(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


def join(hits: Sequence[Hit]) -> list[Hit]:
    """Passages that follow one another in a document are one hit, in the place of the best.

    ``text`` is theirs, with line ends between; ``span`` covers them all.
    """
    joined: list[Hit] = []
    parts: list[int] = []  # passages in each
    for hit in hits:
        at = next((i for i, other in enumerate(joined) if _touch(other, hit)), None)
        if at is None or parts[at] == _MOST_JOINED:
            joined.append(hit)
            parts.append(1)
        else:
            joined[at] = _merged(joined[at], hit)
            parts[at] += 1
    return joined


def _touch(a: Hit, b: Hit) -> bool:
    if a.span is None or b.span is None or (a.file, a.page) != (b.file, b.page):
        return False
    return a.section == b.section and (a.span[1] == b.span[0] or b.span[1] == a.span[0])


def _merged(best: Hit, other: Hit) -> Hit:
    assert best.span is not None and other.span is not None
    first, last = sorted((best, other), key=lambda h: h.span or (0, 0))
    span = (min(best.span[0], other.span[0]), max(best.span[1], other.span[1]))
    return replace(best, span=span, text=f"{first.text}\n{last.text}")
