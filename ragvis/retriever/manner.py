"""How a query is put, judged by its words. In English only; elsewhere nothing is seen in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ragvis.store.tokens import words_of
from ragvis.store.words import content_words

_PLAIN = r"(?:picture|photo|photograph|image|pic|drawing|screenshot|portrait)"
_ALSO_OTHER = r"(?:chart|diagram|figure|plot|graph|logo|map|scan)"  # mean other things, too
_KIND = rf"(?:{_PLAIN}|{_ALSO_OTHER})"
_PICTURES = re.compile(rf"\b(?:{_KIND}s?|looks? like|show me)\b", re.IGNORECASE)
# "a bar chart of", "photos from": what is wanted stands behind it
_ONE = rf"(?:(?:an?|the|any|some|my|our)\s+(?:[\w'-]+\s+){{0,2}})?{_KIND}s?\b"
_OF = r"(?:of|with|from|showing|that\s+shows?)\b"
_REQUEST = re.compile(
    r"(?:please\s+)?(?:(?:can|could|would)\s+(?:you|i)\s+)?(?:please\s+)?(?:"
    rf"(?:in\s+|on\s+)?(?:which|what)\s+(?:{_KIND}|of\s+\w+\s+{_KIND}s)\s+(?:shows|depicts|contains|"
    r"has\s+an?|is\s+(?:an?|the)\b(?!\s+(?:\w+est|most|least|best|worst)\b))\b"
    rf"|(?:show|see|find|give|get|display|open)\s+(?:(?:me|us)\s+)?{_ONE}(?:\s+{_OF}|\W*$)"
    rf"|(?:(?:is|are)\s+there|(?:do|have)\s+(?:you|we|i)\s+(?:have|got))\s+{_ONE}\s+{_OF}"
    rf"|{_ONE}\s+{_OF}"
    r")",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\b(?:who|whom|whose|what|when|where|why|how|which)\b|[.;!?？؟]\s*\w"
    r"|\b(?:and|then)\s+(?:tell|say|describe|explain|count|list|compare|translate)\b",
    re.IGNORECASE,
)
_MAY_BE_OTHER = re.compile(rf"\b{_ALSO_OTHER}s?\b", re.IGNORECASE)
_INDEFINITE = re.compile(r"an?\s", re.IGNORECASE)
_SENTENCE = re.compile(
    r"[?？؟]|\b(?:is|are|was|were|do|does|did|can|could|may|must|should|shall|will|would|has|have|"
    r"had|i|we|you)\b",
    re.IGNORECASE,
)


class Manner(NamedTuple):
    """How a query is put.

    Attributes:
        pictures: it names pictures as what it wants.
        keywords: it has no word that only says how something is asked.
    """

    pictures: bool
    keywords: bool

    @classmethod
    def of(cls, text: str | None) -> Manner:
        """Judged by its words."""
        words = [word.text for word in words_of(text or "")]
        keywords = bool(words) and len(content_words(text or "")) == len(set(words))
        return cls(bool(_PICTURES.search(text or "")), keywords)


class Request(NamedTuple):
    """What a question wants that asks nothing.

    Attributes:
        shows: it asks to be shown a picture, and nothing else: "a photo of …".
        only: of its kind there is nothing but pictures: a photo is one, a figure may be a number.
        names: it may be the name of a thing, and is no sentence.
        describes: it is such a name with "a" or "an" before it, "a cup of coffee": something to be
            seen rather than something about it, as "the price of coffee" and "coffee price" are.
    """

    shows: bool
    only: bool
    names: bool
    describes: bool

    @classmethod
    def of(cls, text: str) -> Request:
        """Judged by its words."""
        text = " ".join(text.split())
        request = _REQUEST.match(text)
        shows = request is not None and not _ASKING.search(text, request.end())
        names = not (_ASKING.search(text) or _SENTENCE.search(text))
        describes = names and _INDEFINITE.match(text) is not None
        return cls(shows, shows and not _MAY_BE_OTHER.search(text), names, describes)
