"""What two readings of one file have in common, word by word."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_JUDGED = 4000  # distinct words of one side whose spacing is looked into
# What numbers the items of a list: one reader writes it, another leaves it out.
_NUMBERS = re.compile(r"^[ \t>*]*(?:\d{1,3}|[A-Za-z]|[ivxIVX]+)\\?[.)](?=\s|$)", re.MULTILINE)
SHOWN = 12  # examples of each side


@dataclass(frozen=True, slots=True)
class Difference:
    """Two readings compared: ``theirs`` is the second reader's, ``ours`` is ragvis'.

    Attributes:
        ours: words of our reading.
        theirs: words of the second reading.
        lost: words of theirs that ours lacks, letters and all.
        extra: words of ours that theirs lacks, letters and all.
        spacing: words that only one side has as words, with the same letters in both.
        elsewhere: words lost from the text that ours keeps as a title, a caption or metadata.
        order: share of neighbouring words that are neighbours in both, of the shorter reading.
        examples: some of the words lost, of the extra ones, and of ours that only spacing tells
            from theirs; the most frequent first.
    """

    ours: int
    theirs: int
    lost: int
    extra: int
    spacing: int
    elsewhere: int
    order: float
    examples: tuple[tuple[str, ...], ...]

    @property
    def weight(self) -> float:
        """What a table is sorted by: words that differ, divided by the root of all words, so that
        neither short files nor a few words of long ones are all that comes first."""
        both = max(self.ours, self.theirs, 1)
        return float((self.lost + self.extra) / both**0.5)


def words_of(text: str) -> list[str]:
    """Its words in one form: NFKC, casefolded, only letters and digits."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return _WORD.findall(unicodedata.normalize("NFKC", plain))


def without_numbers(text: str) -> str:
    """A text without the numbers that its lines begin with."""
    return _NUMBERS.sub("", text)


def compare(ours: str, theirs: str, elsewhere: str = "") -> Difference:
    """Compare two readings of one file.

    A word that one side lacks counts only if that side also has fewer of its letters in a row, all
    space, hyphens and punctuation left out: ``exam-ple`` and ``example`` are one word.
    """
    mine, other = words_of(ours), words_of(theirs)
    lacking, more = Counter(other), Counter(mine)
    lacking.subtract(mine)
    more.subtract(other)
    squeezed = "".join(mine), "".join(other)
    lost = _missing(+lacking, *squeezed)
    extra = _missing(+more, *reversed(squeezed))
    differing = (+lacking).total() + (+more).total()
    spacing = differing - lost.total() - extra.total()
    kept = lost & Counter(words_of(elsewhere))
    lost -= kept
    return Difference(
        len(mine),
        len(other),
        lost.total(),
        extra.total(),
        spacing,
        kept.total(),
        _order(mine, other),
        (_examples(lost), _examples(extra), _examples(+more - extra)),
    )


def _missing(words: Counter[str], here: str, there: str) -> Counter[str]:
    """Those of ``there``'s words whose letters are not as often in a row ``here``."""
    found: Counter[str] = Counter()
    for i, (word, count) in enumerate(words.most_common()):
        short = count if i >= _JUDGED else min(count, there.count(word) - here.count(word))
        if short > 0:
            found[word] = short
    return found


def _order(mine: list[str], other: list[str]) -> float:
    pairs = [Counter(pairwise(words)) for words in (mine, other)]
    fewest = min(p.total() for p in pairs)
    return (pairs[0] & pairs[1]).total() / fewest if fewest else 1.0


def _examples(words: Counter[str]) -> tuple[str, ...]:
    return tuple(word if n == 1 else f"{word}×{n}" for word, n in words.most_common(SHOWN))
