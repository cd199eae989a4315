"""Cutting text into passages: on headings, paragraphs and sentences, within a token limit.

The spans of a page partition its text: every character is in exactly one passage, except blanks
before the first, and nothing is cut off to fit. Counting is the encoder's own, so what is embedded
is what is stored.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragvis.documents.model import Heading, Page

Span = tuple[int, int]
CountTokens = Callable[[Sequence[str]], list[int]]

# Where a text may be cut, best first: each pattern ends where the next piece begins.
_BLOCK_ENDS = re.compile(r"\n[ \t]*\r?\n\s*|\n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S)")
_FINER_ENDS = (
    re.compile(r"\n+"),
    re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])"),
    re.compile(r"(?<=[;:,])\s+|(?<=[、，；])"),
    re.compile(r"\s+"),
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a page: ``text`` is the page's text over ``span``, without outer whitespace."""

    span: Span
    text: str
    section: str


@dataclass(frozen=True, slots=True)
class Cutter:
    """How long passages are, in the encoder's tokens."""

    count: CountTokens
    limit: int  # no passage is longer
    floor: int = 16  # neighbours in one section are joined until they reach this

    def cut(self, page: Page) -> list[Passage]:
        """The page's passages in order; whitespace alone makes none."""
        spans = [s for section in _sections(page) for s in self._cut_section(page.text, section)]
        starts = [h.start for h in page.headings]
        named = ((span, page.text[slice(*span)].strip()) for span in spans)
        return [
            Passage(span, text, _section_at(page.headings, starts, span))
            for span, text in named
            if text
        ]

    def _cut_section(self, text: str, section: Span) -> list[Span]:
        blocks = _split(text, section, _BLOCK_ENDS)
        counts = self._counts(text, blocks)
        fitting: list[tuple[Span, int]] = []
        for block, tokens in zip(blocks, counts, strict=True):
            if tokens <= self.limit:
                fitting.append((block, tokens))
            else:
                pieces = self._shorten(text, block, 0)
                fitting += zip(pieces, self._counts(text, pieces), strict=True)
        return self._settle(text, self._join(fitting))

    def _shorten(self, text: str, span: Span, level: int) -> list[Span]:
        """Cut an over-long span at ever finer places until each piece fits."""
        if self._counts(text, [span])[0] <= self.limit or span[1] - span[0] < 2:
            return [span]
        if level == len(_FINER_ENDS):
            middle = (span[0] + span[1]) // 2
            halves = [(span[0], middle), (middle, span[1])]
            return [s for half in halves for s in self._shorten(text, half, level)]
        pieces = _split(text, span, _FINER_ENDS[level])
        packed = self._pack(pieces, self._counts(text, pieces))
        return [s for piece in packed for s in self._shorten(text, piece, level + 1)]

    def _pack(self, spans: list[Span], counts: list[int]) -> list[Span]:
        """Join neighbours while they fit: the fewest pieces, each as full as may be."""
        packed: list[Span] = []
        room = 0
        for span, tokens in zip(spans, counts, strict=True):
            if packed and tokens <= room:
                packed[-1] = (packed[-1][0], span[1])
                room -= tokens
            else:
                packed.append(span)
                room = self.limit - tokens
        return packed

    def _join(self, blocks: list[tuple[Span, int]]) -> list[Span]:
        """Join short blocks to their neighbour, so that a passage says something by itself."""
        joined: list[tuple[Span, int]] = []
        for span, tokens in blocks:
            last = joined[-1][1] if joined else self.limit
            short = last < self.floor or tokens < self.floor // 2
            if joined and short and last + tokens <= self.limit:
                joined[-1] = ((joined[-1][0][0], span[1]), last + tokens)
            else:
                joined.append((span, tokens))
        return [span for span, _ in joined]

    def _settle(self, text: str, spans: list[Span]) -> list[Span]:
        """Tokens of a joined text can exceed the sum of its parts: measure, and cut again."""
        return [
            s
            for span, tokens in zip(spans, self._counts(text, spans), strict=True)
            for s in ([span] if tokens <= self.limit else self._shorten(text, span, 0))
        ]

    def _counts(self, text: str, spans: Sequence[Span]) -> list[int]:
        return self.count([text[a:b].strip() for a, b in spans])


def _sections(page: Page) -> list[Span]:
    """The page cut at its headings; a heading opens its section.

    Blanks in the beginning stand for what is no text, such as a file's front matter.
    """
    start = len(page.text) - len(page.text.lstrip())
    bounds = sorted({start, len(page.text), *(h.start for h in page.headings if h.start > start)})
    return [(a, b) for a, b in pairwise(bounds) if a < b]


def _split(text: str, span: Span, ends: re.Pattern[str]) -> list[Span]:
    cuts = [m.end() for m in ends.finditer(text, *span) if span[0] < m.end() < span[1]]
    bounds = [span[0], *cuts, span[1]]
    return [(a, b) for a, b in pairwise(bounds) if a < b]


def _section_at(headings: Sequence[Heading], starts: list[int], span: Span) -> str:
    """The title of the last heading that starts before the span ends."""
    before = bisect_left(starts, span[1])
    return headings[before - 1].title if before else ""
