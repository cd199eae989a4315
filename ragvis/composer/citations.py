"""Citations that hold by construction: only numbers that the composer gave stay in an answer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ragvis.types import Citation

# What stands between the brackets of "[2]", "[1, 2]" or "[1-3]", and of "[n2]" or "[Source 2]", as
# models make of "cite each source as [n]": they write all of them.
_INSIDE = re.compile(r"(?:[\d\s,;–-]|#|n(?=\d)|sources?)*", re.IGNORECASE)
_NUMBERS = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")
# An end that what comes next may turn into a citation, or into the space before one.
_UNDECIDED = re.compile(r"\s*\[[\[\d\s,;–#nsource-]*\Z|\s+\Z", re.IGNORECASE)
_WIDEST = 50  # numbers that "[1-50]" is read as, at most
_OPENING, _CLOSING = "[［【〔⟦〚❲﹝", "]］】〕⟧〛❳﹞"  # brackets that models take for one another
_PART = re.compile(rf"[{re.escape(_OPENING + _CLOSING)}]|[^\W_]+")
_LEAD = re.compile(r"^(?:n|sources?)(?=.)", re.IGNORECASE)


class CitationFilter:
    """Removes invented numbers from a text that arrives in pieces, and writes lists as ``[1][2]``.

    A closing bracket is judged by what the text before it has become, so no removal can leave a
    number that was not given. What may still become a citation is held back.
    """

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = numbers
        self._held = ""
        self._gap = -1  # where in it the space before an invented number was

    def of(self, pieces: Iterable[str]) -> Iterator[str]:
        """A whole text's pieces, as they can be shown."""
        for piece in pieces:
            if ready := self.feed(piece):
                yield ready
        yield self.finish()

    def feed(self, piece: str) -> str:
        """What can be shown now."""
        for char in piece:
            self._held += char
            if char == "]":
                self._close()
        cut = self._safe_length()
        ready, self._held = self._held[:cut], self._held[cut:]
        self._gap -= cut
        return ready

    def finish(self) -> str:
        """The rest."""
        ready, self._held = self._held, ""
        return ready

    def _close(self) -> None:
        opened = self._held.rfind("[")
        inside = self._held[opened + 1 : -1]
        if opened < 0 or not _INSIDE.fullmatch(inside) or not re.search(r"\d", inside):
            return
        known = [n for n in _spelled_out(inside) if n in self._numbers]
        before = self._held[:opened]
        if known and opened == self._gap:
            before += " "  # "A [7][2]" becomes "A [2]"
        elif not known and before[-1:].isspace():
            before = before[:-1]  # the space before a citation goes with it
            self._gap = len(before)
        # Judged together with what now stands before it: "[[9]7]" must not become "[7]".
        self._held = before + "".join(f"[{n}]" for n in dict.fromkeys(known))

    def _safe_length(self) -> int:
        open_end = _UNDECIDED.search(self._held)
        return open_end.start() if open_end else len(self._held)


def keep_valid(text: str, numbers: Collection[int]) -> str:
    """``CitationFilter`` for a text that is whole."""
    return "".join(CitationFilter(numbers).of([text]))


def escape_citations(text: str) -> str:
    """A text from outside, its own bracketed numbers in round brackets: "[2]" becomes "(2)".

    A model prints such marks again, and "[2]" would be taken for a citation of source 2. All that
    may be read or printed as one is meant: "[3-5]", "a[0]", "[^2]", "[source 2]", "[²]", "【2】".
    Brackets around words stay as they are. Takes time linear in the text.
    """
    written = list(text)
    groups: list[_Group] = []  # that are open, the innermost last
    for match in _PART.finditer(text):
        part = match[0]
        if part in _OPENING:
            groups.append(_Group(match.start()))
        elif part not in _CLOSING:
            if groups:
                groups[-1].take(part)
        elif groups:
            group = groups.pop()
            if group.is_number:
                written[group.start], written[match.start()] = "(", ")"
            if groups:
                groups[-1].merge(group)
    return "".join(written)


@dataclass(slots=True)
class _Group:
    """What stands between two brackets."""

    start: int  # where it opens
    has_number: bool = False
    has_word: bool = False  # one that no citation has

    @property
    def is_number(self) -> bool:
        return self.has_number and not self.has_word

    def take(self, word: str) -> None:
        is_number = all(map(str.isdigit, _LEAD.sub("", word)))
        self.has_number |= is_number
        self.has_word |= not (is_number or word.lower() in ("source", "sources"))

    def merge(self, inner: _Group) -> None:
        self.has_number |= inner.has_number
        self.has_word |= inner.has_word


def find_citations(text: str) -> tuple[Citation, ...]:
    """Every ``[n]`` of a text that went through ``keep_valid``."""
    found = re.finditer(r"\[([0-9]+)\]", text)
    return tuple(Citation(int(m[1]), m.start(), m.end()) for m in found)


def _spelled_out(inside: str) -> list[int]:
    found: list[int] = []
    for match in _NUMBERS.finditer(inside):
        # a number too long to be one of ours is no number at all
        first, last = (int(n[:9]) if n else 0 for n in match.groups())
        found += range(first, min(last, first + _WIDEST) + 1) if last > first else [first]
    return found


def without_citations(sentence: str) -> str:
    """A sentence as it would be without them."""
    if opening := re.match(r"\[\d+\](?= [a-z])", sentence):  # its subject: "[1] shows a cat."
        sentence = "It" + sentence[opening.end() :]
    for citation in reversed(find_citations(sentence)):
        sentence = sentence[: citation.start].rstrip() + sentence[citation.end :]
    return sentence.strip()
