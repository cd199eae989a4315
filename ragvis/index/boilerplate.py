"""Boilerplate: lines that recur at the edges of many documents or pages, beside what is their own.

Headers, footers, navigation and legal notices say nothing about the one document that a passage is
from. They are found as a collection's templates are (Bar-Yossef and Rajagopalan, "Template
detection via data mining", WWW 2002): by their recurrence, and not by their words.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Keys = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

Text = tuple[int, int | None, str]  # document, page, body of a passage
MANY = 4  # sheets in which a line recurs; a sheet is a page, or a document that has no pages
_EDGE = 300  # most letters of its own that a sheet has before or after what stands at its edge
_PAGE = 400  # letters of a page, at least
_MIXED = 2  # times as much as recurs there, at most
_AT_EDGE = 0.8  # share of a line's sheets at whose edge it stands
_OWN = 0.5  # share of a document that is its own; forms and receipts have less
_HALF = 0.5  # share of a line's sheets that are of such a document
_MOST = 20_000  # lines that are kept
_LEAST = 2  # letters of a line; others say nothing at all
_LABEL = re.compile(r"\s*[^\W\d_][^:\n]{1,40}:(?=\s)")


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """What the boilerplate lines of an index are.

    Attributes:
        lines: their keys.
        passages: how many there were when the lines were looked for.
        newest: id of the newest of them.
    """

    lines: frozenset[int] = frozenset()
    passages: int = 0
    newest: int = 0

    def own(self, text: str) -> tuple[str, float]:
        """A passage without such lines, and the share of its letters that is left: 0..1."""
        lines = text.splitlines() if self.lines else []
        own = [line for line in lines if not self._has(line)]
        if len(own) == len(lines):
            return text, 1.0
        return "\n".join(own), _letters("".join(own)) / _letters(text)

    def _has(self, line: str) -> bool:
        is_known = _key(line) in self.lines or _label(line) in self.lines
        return is_known and _letters(line) >= _LEAST

    def to_json(self) -> str:
        """For the catalog."""
        keys = np.array(sorted(self.lines), "<u8")
        counts = {"passages": self.passages, "newest": self.newest}
        return json.dumps({"lines": keys.tobytes().hex(), **counts})

    @classmethod
    def parse(cls, text: str | None) -> Boilerplate:
        """What ``to_json`` wrote; nothing was looked for yet where that is None."""
        if text is None:
            return cls()
        found = json.loads(text)
        keys = np.frombuffer(bytes.fromhex(found["lines"]), "<u8")
        return cls(frozenset(keys.tolist()), int(found["passages"]), int(found["newest"]))


def find(texts: Iterable[Text]) -> frozenset[int]:
    """The keys of a collection's boilerplate lines; its passages come document by document, in
    their order."""
    lines = _Lines.of(texts)
    if not len(lines.keys):
        return frozenset()
    _, labels = lines.found()
    # What is known for boilerplate no longer keeps other lines from an edge
    keys, labels = replace(lines, own=np.where(np.isin(lines.labels, labels), 0, lines.own)).found()
    return frozenset([*keys.tolist(), *labels.tolist()][:_MOST])


@dataclass(frozen=True, slots=True)
class _Lines:
    """Every line that says something: all (n,).

    Attributes:
        keys: equal for lines that differ in numbers alone.
        labels: the key of "Next message:" of a line that begins so; 0 where there is none.
        document: number of its document, from 0 and ascending.
        sheet: number of its sheet, from 0 and ascending.
        letters: in it.
        own: letters in it, 0 where the same line stands in many other sheets.
    """

    keys: Keys
    labels: Keys
    document: Numbers
    sheet: Numbers
    letters: Numbers
    own: Numbers

    @classmethod
    def of(cls, texts: Iterable[Text]) -> _Lines:
        keys, labels = array("Q"), array("Q")
        columns = [array("q") for _ in range(3)]
        for *place, line in _placed(texts):
            letters = _letters(line)
            if letters >= _LEAST:
                keys.append(_key(line))
                labels.append(_label(line))
                for column, value in zip(columns, (*place, letters), strict=True):
                    column.append(value)
        of, labelled = np.array(keys, np.uint64), np.array(labels, np.uint64)
        in_document, in_sheet, count = (np.array(column, np.int64) for column in columns)
        recurs = np.isin(of, _in_many(of, in_sheet)[0])
        own_count = np.where(recurs, 0, count)
        return cls(of, labelled, in_document, in_sheet, count, own_count)

    def found(self) -> tuple[Keys, Keys]:
        """The keys and the labels of boilerplate."""
        edges = self.at_edges()
        keys = self.recurring(self.keys, edges[0] | edges[1])
        enclosed = self.enclosed(edges & np.isin(self.keys, keys))
        return keys, self.recurring(self.labels, enclosed)

    def recurring(self, keys: Keys, where: Flags) -> Keys:
        """The keys that stand in many sheets: most times in places with a flag, and in documents
        that are mostly their own; the most frequent ones first.

        Args:
            keys: (n,) of each line.
            where: (n,) flags.
        """
        of_each = np.bincount(self.document, self.own), np.bincount(self.document, self.letters)
        beside_own = (of_each[0] >= _OWN * of_each[1])[self.document]
        found, sheets = _in_many(keys, self.sheet)
        chosen = _sheets(keys, self.sheet, found, where) >= _AT_EDGE * sheets
        chosen &= _sheets(keys, self.sheet, found, beside_own) >= _HALF * sheets
        most: Keys = found[chosen][np.argsort(-sheets[chosen], kind="stable")]
        return most

    def at_edges(self) -> Flags:
        """Which lines have more that recurs than is their sheet's own between them and its
        beginning, and its end: (2, n)."""
        recurring = self.letters - self.own
        sides = zip(self._around(self.own), self._around(recurring), strict=True)
        return np.stack(
            [own <= np.minimum(_EDGE, _MIXED * (other + recurring)) for own, other in sides]
        )

    def enclosed(self, edges: Flags) -> Flags:
        """Which lines (n,) stand between a beginning or end of their sheet and a line at it; edges:
        (2, n) the lines that do so."""
        places = np.arange(len(self.keys))
        inner = np.full(int(self.sheet[-1]) + 1, -1), np.full(int(self.sheet[-1]) + 1, len(places))
        np.maximum.at(inner[0], self.sheet[edges[0]], places[edges[0]])
        np.minimum.at(inner[1], self.sheet[edges[1]], places[edges[1]])
        enclosed: Flags = (places < inner[0][self.sheet]) | (places > inner[1][self.sheet])
        return enclosed

    def _around(self, letters: Numbers) -> tuple[Numbers, Numbers]:
        """How many of them (n,) are before and after each line in its sheet."""
        totals = np.bincount(self.sheet, letters).astype(np.int64)
        before = np.cumsum(letters) - letters - (np.cumsum(totals) - totals)[self.sheet]
        return before, totals[self.sheet] - before - letters


def _in_many(keys: Keys, sheet: Numbers) -> tuple[Keys, Numbers]:
    """The keys that stand in many sheets, ascending, and in how many: both (k,)."""
    found, counts = np.unique(keys[keys > 0], return_counts=True)
    found = found[counts >= MANY]
    sheets = _sheets(keys, sheet, found, np.ones(len(keys), bool))
    return found[sheets >= MANY], sheets[sheets >= MANY]


def _sheets(keys: Keys, sheet: Numbers, wanted: Keys, where: Flags) -> Numbers:
    """In how many sheets the ``wanted`` keys (k,) stand, in places with a flag: (k,)."""
    kept = np.flatnonzero(where & np.isin(keys, wanted))
    pairs = np.unique(np.stack([np.searchsorted(wanted, keys[kept]), sheet[kept]]), axis=1)
    counts: Numbers = np.bincount(pairs[0], minlength=len(wanted))
    return counts


def _placed(texts: Iterable[Text]) -> Iterator[tuple[int, int, str]]:
    """Every line with the numbers of its document and its sheet, from 0."""
    last: tuple[int, int | None] | None = None
    document = sheet = -1
    numbering = _Numbering()
    for own, page, body in texts:
        document += last is None or own != last[0]
        if (own, page) != last:
            sheet += 1
            numbering = _Numbering()
        last = (own, page)
        for line in body.splitlines():
            yield document, sheet, line
            sheet += page is None and numbering.ends_page(line)


class _Numbering:
    """Finds the pages of a text by lines that count on, as "[Page 7]" after "[Page 6]"."""

    def __init__(self) -> None:
        self._length = 0  # letters so far
        self._last: dict[int, tuple[int, int]] = {}  # number of a line, and where it stood

    def ends_page(self, line: str) -> bool:
        """Whether a line, the next one of the text, does so; a list that counts on is no page."""
        self._length += _letters(line)
        numbers = re.findall(r"\d{1,9}", line)
        if not numbers:
            return False
        number, key = int(numbers[-1]), _key(line)
        before, place = self._last.get(key, (-2, 0))
        self._last[key] = number, self._length
        return number == before + 1 and self._length - place >= _PAGE


def _letters(line: str) -> int:
    return sum(map(str.isalpha, line))


def _label(line: str) -> int:
    found = _LABEL.match(line)
    return _key(found[0]) if found else 0


def _key(line: str) -> int:
    plain = re.sub(r"\d+", "0", " ".join(line.casefold().split()))
    return int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "little")
