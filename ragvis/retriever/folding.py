"""Hits that say the same, and hits that go on from one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragvis.retriever.scoring import Scored
from ragvis.store.tokens import words_of
from ragvis.types import Hit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_SAME_PICTURE = 0.99  # cosine; two receipts of one form reach 0.987 with pocket
_SAME_TEXT = 0.8  # share of common word triples
_MOST_JOINED = 3  # passages in one hit
_COMPARED = 256  # hits that are compared with one another: their number goes in squared
_DIGIT = re.compile(r"\d")
Found = tuple[Hit, Scored]


def fold(found: Sequence[Found]) -> list[Found]:
    """Each near-duplicate among the first few hundred folded into the best of its kind, which
    lists its ``path`` in ``duplicates``."""
    kept: list[Found] = []
    marks: list[_Mark] = []
    for hit, scored in found[:_COMPARED]:
        mark = _Mark.of(hit, scored)
        first = next((i for i, other in enumerate(marks) if mark.is_same(other)), None)
        if first is None:
            kept.append((hit, scored))
            marks.append(mark)
            continue
        best, of_best = kept[first]
        kept[first] = (replace(best, duplicates=_also(best, hit)), of_best)
    return [*kept, *found[_COMPARED:]]


def _also(best: Hit, other: Hit) -> tuple[str, ...]:
    paths = dict.fromkeys((*best.duplicates, other.path, *other.duplicates))
    return tuple(path for path in paths if path not in best.paths)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What two hits are compared by: a picture's vector, or a text's numbers and word triples."""

    vector: Vectors | None
    numbers: tuple[str, ...]
    triples: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, hit: Hit, scored: Scored) -> _Mark:
        """Of a hit."""
        if hit.modality == "image":
            return cls(scored.vector, (), frozenset())
        words = [word.text for word in words_of(hit.text or "")]
        triples = frozenset(tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2)))
        return cls(None, tuple(word for word in words if _DIGIT.search(word)), triples)

    def is_same(self, other: _Mark) -> bool:
        """Two versions of a page that differ in a number are not the same at all."""
        if self.vector is not None and other.vector is not None:
            return float(self.vector @ other.vector) >= _SAME_PICTURE
        if self.numbers != other.numbers:
            return False
        common = len(self.triples & other.triples)
        return common >= _SAME_TEXT * len(self.triples | other.triples)


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
    also = tuple(dict.fromkeys((*best.duplicates, *other.duplicates)))
    return replace(best, span=span, text=f"{first.text}\n{last.text}", duplicates=also)
