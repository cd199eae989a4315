"""What an item says of a query's words itself, and what only stands around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ragvis.store.words import Shared, content_words
from ragvis.types import Modality

if TYPE_CHECKING:
    from ragvis.index import Index
    from ragvis.index.boilerplate import Boilerplate

_BODY = "body near"  # columns that an item does not share with all others of its document
# What a word counts that stands in a title, a heading or a file's name alone, or in boilerplate:
# all items of a document have it, or all documents.
_AROUND = 0.5
# What it counts more for an only one. A picture that is a file is known by its name alone.
_AROUND_ONE: Mapping[Modality, float] = {"text": 0.3, "image": 0.5}
_STEM = 5  # letters by which words of one stem are alike
_MOSTLY = 0.5  # share of its letters that are its own
NOTHING = Shared(0.0, 0.0)


class Wording(NamedTuple):
    """What an item has of a query's wording.

    Attributes:
        words: weighed by where they stand.
        is_own: whether it is mostly its own text and no boilerplate.
    """

    words: Shared = NOTHING
    is_own: bool = True


def wording(
    index: Index,
    boilerplate: Boilerplate,
    query: str,
    modality: Modality,
    ids: Sequence[int],
    similar: Iterable[int],
) -> dict[int, Wording]:
    """Of items of one modality; what is not in it has none of the wording. Hold
    ``Index.reading``.

    Args:
        ids: those that may have some of it.
        similar: those of which it matters whether they are boilerplate.
    """
    anywhere = index.word_coverage(query, ids)
    said = index.word_coverage(query, ids, _BODY)
    words = content_words(query)
    wanted = dict.fromkeys([*(i for i, shared in anywhere.items() if shared.share), *similar])
    found = {}
    for item, body in index.bodies([*wanted]).items():
        own, share = boilerplate.own(body.text)
        part = _part_inside(words, body.text, own) if share < 1.0 else 1.0
        around = _AROUND + _AROUND_ONE[modality] / body.siblings
        weighed = _weighed(said.get(item, NOTHING), part, anywhere.get(item, NOTHING), around)
        found[item] = Wording(weighed, modality == "image" or share >= _MOSTLY)
    return found


def _weighed(said: Shared, part: float, anywhere: Shared, around: float) -> Shared:
    pairs = zip(said, anywhere, strict=True)
    return Shared(*(part * own + around * (whole - part * own) for own, whole in pairs))


def _part_inside(words: Sequence[str], body: str, own: str) -> float:
    """The part of a body's query words that stands in its own lines, too: 0..1. Numbers are its
    own everywhere, as lines that differ in numbers alone count as one."""
    matched = [word for word in words if _begins_a_word(word, body)]
    inside = sum(_has_digit(word) or _begins_a_word(word, own) for word in matched)
    return inside / len(matched) if matched else 1.0


def _has_digit(word: str) -> bool:
    return any(map(str.isdecimal, word))


def _begins_a_word(word: str, text: str) -> bool:
    """Whether a text has the word or one akin to it, by how it begins."""
    return re.search(rf"\b{re.escape(word[:_STEM])}", text, re.IGNORECASE) is not None
