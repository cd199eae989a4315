"""What the words of a text are, for an index and for a query alike.

A text is found by each of its words, and by what is written in several pieces as one word:
``LK-7719`` by ``lk``, ``7719`` and ``lk7719``; ``1 250`` by ``1``, ``250`` and ``1250``. A query
looks for such a thing as a whole. SQLite cuts at spaces what comes out of here, so that a way to
cut scripts that are written without spaces has its place in this module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from ragvis.store.normalize import normalize

_MOST_JOINTS = 10  # between the pieces of what is joined
_LONGEST = 64  # characters of what is joined
_LONG_NUMBER = 7  # digits; shorter ones with hyphens are ranges: pages 10-12 are not page 1012
_W = r"[^\s!-/:-@\[-`{-~]"  # a character of a word, in a text as ``_separated`` leaves it
_START = rf"(?<!{_W})(?<!{_W}[-.,'/])"  # of a number that goes on from nothing
_END = rf"(?!{_W}|[-.,'/][0-9])"
_WORD = re.compile(f"{_W}+")
# A word, or several joined by hyphens, or by full stops within a number: LK-7719, 192.168.1.1
_CHAIN = re.compile(rf"{_W}++(?:(?:-|(?<=[0-9])\.(?=[0-9])){_W}++)*+")
# Separators of thousands that can be nothing else: "1,250", "1'250", "1.250.000", "1.250,50"
_THOUSANDS = re.compile(
    rf"[1-9](?<!{_W}[0-9])(?<!{_W}[-.,'/][0-9])[0-9]{{0,2}}(?:(?:,[0-9]{{3}})++(?![0-9]|,[0-9])"
    r"|(?:'[0-9]{3})++(?![0-9]|'[0-9])"
    r"|(?:\.[0-9]{3}){2}(?![0-9]|\.[0-9])"  # four such groups are an address
    r"|(?:\.[0-9]{3})++(?=,[0-9]{1,2}(?![0-9])))"
)
_PHONE = (
    rf"(?<![0-9] )(?=[+(]?(?:[0-9][ ()/-]{{0,2}}){{{_LONG_NUMBER}}})(?:"
    r"\+[0-9]{1,3}(?:[ /-]?\([0-9]+\)[ /-]?|[ /-])[0-9]+(?:[ /-][0-9]+)*+"  # +44 20 7946 0958
    r"|\(0[0-9]{1,5}\)[ /-]?[0-9]+(?:[ -][0-9]{2,})*+"  # (020) 7946 0958
    r"|0[0-9]{1,5}[ /-][0-9]{2,}(?:[ -][0-9]{2,})*+"  # 030/901820, 01 23 45 67 89
    r"|(?:1[ -])?(?:\([0-9]{3}\) ?|[0-9]{3}[ -])[0-9]{3}[ -][0-9]{4}"  # (212) 555-0134
    r"|[0-9]{3}[ -][0-9]{4}"  # 555-0134
    r"|[0-9]{2}(?: [0-9]{2}){3,4}+"  # 22 12 34 56
    r"|[0-9]{4}(?: [0-9]{4}){2,}+(?: [0-9]{1,3})?+)"  # of a card
)
# 1 250, 1 250,50 and 3,5; but not the end of 2019 250 300
_AMOUNT = r"(?:[1-9][0-9]{0,2}(?: [0-9]{3}(?![0-9]))++(?:[.,][0-9]++)?|[0-9]++[.,][0-9]++)"
_NUMBER = re.compile(rf"{_START}(?:{_PHONE}|(?<![0-9]{{4}} ){_AMOUNT}){_END}")
# Where such a number may be, which is quicker to look for
_RUN = re.compile(r"[0-9](?<![0-9][0-9])[0-9]*+\)?[ ,./-]?[0-9(][0-9+().,/' -]*+")
_UNIT = re.compile(f"{_NUMBER.pattern}|{_CHAIN.pattern}")
_IS_AMOUNT = re.compile(_AMOUNT)
_DIGIT = re.compile("[0-9]")
_JOINT = re.compile(r"[-.]")
_NO_SEPARATORS = str.maketrans("", "", "-+()/ ")
_EITHER = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")  # a decimal, or thousands in half of Europe


# Written without spaces: marks cut these, for want of better, into what can be found again.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")


class Word(NamedTuple):
    """What a query looks for.

    Attributes:
        forms: each is the whole of it: one word, or several with spaces between that stand side by
            side. By the first it is compared with others.
        pieces: its words, where there are several; what has some of them is akin to it.
    """

    forms: tuple[str, ...]
    pieces: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """It as one word."""
        return self.forms[0]


def words_of(text: str) -> list[Word]:
    """What a text looks for as a query, in its order."""
    return [word for found in _UNIT.finditer(_separated(text)) for word in _words(found[0])]


def indexed(text: str) -> str:
    """The words by which a text is found, with spaces between."""
    text = _separated(text)
    units = _CHAIN.findall(text)
    chains = [unit for unit in units if "-" in unit or "." in unit]
    joined = [form for unit in chains for form in (*_joined(unit), *_beginnings(unit))]
    for run in _RUN.finditer(text):
        for found in _NUMBER.finditer(text, max(0, run.start() - 1), run.end() + 1):
            joined += _joined(found[0])
    words = " ".join(units).replace("-", " ").replace(".", " ")
    return " ".join((words, *dict.fromkeys(joined)))


def _separated(text: str) -> str:
    """Normalized; what is part of no word becomes a tab, but for ASCII; thousands are joined."""
    text = normalize(text)
    if not text.isascii():
        text = text.translate(_SEPARATORS)
    return _THOUSANDS.sub(lambda found: re.sub("[,.']", "", found[0]), text.replace("_", "-"))


def _words(unit: str) -> list[Word]:
    pieces = tuple(_WORD.findall(unit))
    forms = _joined(unit) if len(pieces) > 1 else ()
    if not forms:
        return [Word((piece,)) for piece in pieces]
    if len(pieces) == 2 and "." in forms[0]:  # half a decimal is not akin to it
        return [Word(forms)]
    return [Word((*forms, " ".join(pieces)), pieces)]


def _joined(unit: str) -> tuple[str, ...]:
    """What is written in several pieces, as one word: the first form is the one to compare by."""
    if len(unit) > _LONGEST or len(unit.translate(_NO_SEPARATORS)) < len(unit) - _MOST_JOINTS:
        return ()
    bare = unit.replace("-", "")
    if bare.isalpha():
        return (bare,)
    if _EITHER.fullmatch(unit):
        return unit, unit.replace(".", "")
    if _IS_AMOUNT.fullmatch(unit):
        return (unit.replace(" ", "").replace(",", "."),)
    if bare.isdecimal():
        return (bare if len(bare) >= _LONG_NUMBER else unit,)
    return (unit.translate(_NO_SEPARATORS),)


def _beginnings(chain: str) -> Iterator[str]:
    """LK-7719 is found where LK-7719-B stands."""
    is_identifier = _DIGIT.search(chain) and not chain.replace("-", "").isdecimal()
    if is_identifier and len(chain) <= _LONGEST:
        ends = [found.start() for found in _JOINT.finditer(chain)]
        yield from (chain[:end].replace("-", "") for end in ends[1 : _MOST_JOINTS + 1])


class _Separators(dict[int, str]):
    """Code point -> its character where it is part of a word, or ASCII; a tab otherwise."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        is_mark = unicodedata.category(char)[0] == "M" and not _UNSPACED.match(char)
        kept = self[code] = char if char.isascii() or char.isalnum() or is_mark else "\t"
        return kept


_SEPARATORS = _Separators()
