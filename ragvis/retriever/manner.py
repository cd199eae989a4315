"""How a query is put, judged by its words. In English only; elsewhere nothing is seen in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ragvis.store.words import content_words

_KINDS = (
    r"(?:pictures?|photos?|photographs?|images?|pics?|drawings?|charts?|diagrams?|figures?|"
    r"screenshots?|portraits?|plots?|graphs?|logos?|maps?|scans?)"
)
_PICTURES = re.compile(rf"\b(?:{_KINDS}|looks? like|show me)\b", re.IGNORECASE)
# What may stand before the thing that is wanted: "Which picture shows …", "Please show me …"
_OPENING = re.compile(
    r"\W*(?:please\s+)?(?:"
    rf"(?:in|on)?\s*(?:which|what)\s+(?:of\s+\w+\s+)?{_KINDS}\s+"
    r"(?:is|are|shows?|has|have|contains?|depicts?)\b"
    r"|(?:(?:can|could|would)\s+you\s+)?(?:please\s+)?(?:show|find|get|give|display|open)\b"
    r"(?:\s+(?:me|us)\b)?"
    r"|(?:is|are)\s+there\b|(?:do|have)\s+(?:you|we|i)\s+(?:have|got)\b"
    r")",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\b(?:who|whom|whose|what|when|where|why|how|which|is|are|was|were|do|does|did|can|could|may|"
    r"must|should|shall|will|would|has|have|had|i|we|you)\b"
    r"|\A\W*(?:tell|explain|describe|say|list|name|count|compare|summari[sz]e|translate|write)\b",
    re.IGNORECASE,
)


class Manner(NamedTuple):
    """How a query is put.

    Attributes:
        pictures: it names pictures as what it wants.
        keywords: it has no word that only says how something is asked.
        names: it names a thing that is wanted, and asks nothing about it.
    """

    pictures: bool
    keywords: bool
    names: bool

    @classmethod
    def of(cls, text: str | None) -> Manner:
        """Judged by its words."""
        text = text or ""
        words = re.findall(r"\w+", text.lower())
        keywords = bool(words) and len(content_words(text)) == len(set(words))
        return cls(bool(_PICTURES.search(text)), keywords, _only_names(text))


def _only_names(text: str) -> bool:
    opening = _OPENING.match(text)
    wanted = text[opening.end() :] if opening else text
    is_question = opening is None and "?" in text
    return bool(re.search(r"\w", wanted)) and not is_question and not _ASKING.search(wanted)
