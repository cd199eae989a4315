"""Hits that say the same, and hits that go on from one another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from ragvis.retriever.scoring import Scored
from ragvis.store.normalize import normalize
from ragvis.types import Hit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_SAME_PICTURE = 0.99  # cosine; two receipts of one form reach 0.987 with pocket
_EQUAL_PICTURE = 1 - 1e-5  # cosine of equal pixels, but for rounding
_SAME_TEXT = 0.8  # share of common word triples
_MOST_JOINED = 3  # passages in one hit
_COMPARED = 256  # hits that are compared with one another: their number goes in squared
# Words, and the signs that change what a number or a list says
_TOKEN = re.compile(
    r"\w+|(?<!\w)[-\u2212+](?=[\d.])|[<>≤≥≠=±~≈](?=\s?[-\u2212+]?\d)|[$€£¥%‰°✓✔☑✗✘☒☐]"
)
_NEGATIONS = frozenset(
    "not no never none nor neither without hardly cannot non nicht kein keine keinen keiner nie "
    "niemals ohne pas ne jamais sans aucun aucune sin nunca tampoco não nem sem mai senza niet "
    "geen nooit zonder inte ej aldrig utan ikke aldri uten uden ei eivät älä nie bez не нет".split()
)
Found = tuple[Hit, Scored]


def fold(found: Sequence[Found]) -> list[Found]:
    """Each near-duplicate among the first few hundred folded into the best of its kind, which
    lists the files that hold it in ``duplicates``."""
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
    paths = dict.fromkeys((*best.duplicates, other.path, *other.paths, *other.duplicates))
    return tuple(path for path in paths if path not in (best.path, *best.paths))


@dataclass(frozen=True, slots=True)
class _Mark:
    """What two hits are compared by: a picture's vector, and the words of a text or a caption.

    Attributes:
        file: where a picture is from.
        spelled: the words and telling signs as they are written.
        words: the same in lower case.
    """

    file: str
    vector: Vectors | None
    spelled: tuple[str, ...]
    words: tuple[str, ...]
    triples: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, hit: Hit, scored: Scored) -> _Mark:
        """Of a hit."""
        spelled = tuple(_TOKEN.findall(unicodedata.normalize("NFKC", hit.text or "")))
        words = tuple(map(normalize, spelled))
        triples = frozenset(words[i : i + 3] for i in range(max(1, len(words) - 2)))
        vector = scored.vector if hit.modality == "image" else None
        return cls(hit.file, vector, spelled, words, triples)

    def is_same(self, other: _Mark) -> bool:
        """Whether one of the two can stand for both."""
        if self.vector is None or other.vector is None:
            return self._says_the_same(other)
        # ``duplicates`` names files: another picture of the same file could not be told by it
        least = _EQUAL_PICTURE if self.file == other.file else _SAME_PICTURE
        if float(self.vector @ other.vector) < least:
            return False
        return not (self.words and other.words) or self._says_the_same(other)

    def _says_the_same(self, other: _Mark) -> bool:
        """Equal but for words at the ends, as cutting leaves them: a word more or another word in
        between ("not", a name, an identifier's letter) can turn what is said."""
        if self.words == other.words:
            return True
        fewer, more = sorted((len(self.triples), len(other.triples)))
        if fewer < _SAME_TEXT * more:
            return False
        common = len(self.triples & other.triples)
        if common < _SAME_TEXT * (fewer + more - common):
            return False
        block = SequenceMatcher(None, self.words, other.words, False).find_longest_match()
        own, others = self.spelled, other.spelled
        heads = own[: block.a], others[: block.b]
        tails = own[block.a + block.size :], others[block.b + block.size :]
        if all(heads) or all(tails):
            return False
        return all(_is_filler(word) for words in (*heads, *tails) for word in words)


def _is_filler(word: str) -> bool:
    """Whether a text says the same without this word: no number, name, letter or "not"."""
    return len(word) > 1 and word.isalpha() and word.islower() and word not in _NEGATIONS


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
