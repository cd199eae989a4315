"""Words that a PDF breaks at the end of a line: joined, or left with their hyphen.

The page does not say whether a hyphen belongs to the word, so the document's other words decide.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# pdfium writes U+FFFE for a hyphen at the end of a line, and leaves the line's end out.
_MARK = "\ufffe"
_BREAK = re.compile(r"\ufffe(?:\r?\n)?|[\u2010\u00ad][ \t]?\r?\n")
_WORD = re.compile(r"[\w-]+")
_LEFT, _RIGHT = re.compile(r"[^\W_]*\Z"), re.compile(r"[^\W_]*")
_LONGEST = 80  # characters of a word, on either side of a break
# What has one of these before its break is an address, a path, code, or hyphenated already.
_MADE_OF_PARTS = re.compile("[-\u2010\u2011\ufffe/\\\\@_=<>:]")
_ENOUGH = 4  # letters of a part that is a word by itself
# "pre- and post-war": before such a word the hyphen stands for what comes later
_JOINING = frozenset("and or nor to und oder bzw et ou och og".split())

Words = Mapping[str, int]  # how often a document has each


def breaks(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each hyphen at the end of a line, the line's end included."""
    for match in _BREAK.finditer(text):
        start, end = match.span()
        beside = text[start - 1 : start], text[end : end + 1]
        if text[start] == _MARK or all(char.isalpha() for char in beside):
            yield start, end


def known_words(texts: Iterable[str]) -> Words:
    """How often the texts have each word that can decide about one of their breaks."""
    wanted: set[str] = set()
    whole: list[str] = []
    for text in texts:
        broken = [_Broken.at(text, start, end) for start, end in breaks(text)]
        wanted.update(form for word in broken for form in word.forms)
        whole.append(_without(text, broken))
    found: Counter[str] = Counter()
    for text in whole if wanted else ():
        plain = text.lower().replace("\u2010", "-").replace("\u2011", "-")
        found.update(filter(wanted.__contains__, _WORD.findall(plain)))
    return found


def between(text: str, start: int, end: int, words: Words) -> str:
    """What stands in the place of a break: nothing, or the hyphen.

    In this order: the form that the document has more often, joined or hyphenated; a hyphen that
    stands for a later part of a word; one beside a digit, a capital or a single letter, or in what
    has a hyphen already, stays; one between two words of the document stays. All else is joined.
    """
    word = _Broken.at(text, start, end)
    joined, hyphenated, *parts = word.forms
    if words.get(joined, 0) != words.get(hyphenated, 0):
        return "" if words.get(joined, 0) > words.get(hyphenated, 0) else "-"
    if word.after in _JOINING and not _MADE_OF_PARTS.search(word.before):
        return "- "
    if word.is_mark or _MADE_OF_PARTS.search(word.before):
        return "-"
    return "-" if all(len(part) >= _ENOUGH and words.get(part) for part in parts) else ""


@dataclass(frozen=True, slots=True)
class _Broken:
    """A broken word: where it breaks, and what stands before and after, up to white space."""

    start: int
    end: int
    before: str
    after: str
    left: str  # of it, the letters and digits next to the break
    right: str

    @classmethod
    def at(cls, text: str, start: int, end: int) -> _Broken:
        before = text[max(0, start - _LONGEST) : start]
        before = "" if before[-1:].isspace() else before.split()[-1] if before else ""
        after = text[end : end + _LONGEST]
        after = "" if after[:1].isspace() else after.split(None, 1)[0] if after else ""
        left, right = _LEFT.search(before), _RIGHT.match(after)
        return cls(start, end, before, after, left[0] if left else "", right[0] if right else "")

    @property
    def forms(self) -> tuple[str, str, str, str]:
        """Joined, hyphenated, and the two parts; in lower case."""
        left, right = self.left.lower(), self.right.lower()
        return left + right, f"{left}-{right}", left, right

    @property
    def is_mark(self) -> bool:
        """Whether it is of a kind with LK-7719 and X-ray."""
        lower = self.left[-1:].islower() and self.right[:1].islower()
        return not lower or 1 in (len(self.left), len(self.right))


def _without(text: str, broken: list[_Broken]) -> str:
    """The text without its broken words, which do not say how they are written."""
    kept, at = [], 0
    for word in broken:
        kept.append(text[at : max(at, word.start - len(word.before))])
        at = max(at, word.end + len(word.after))
    return " ".join([*kept, text[at:]])
