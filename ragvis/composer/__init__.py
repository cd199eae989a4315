"""Hits and a question in, one prompt and its ledger out. Pure functions; no torch."""

from ragvis.composer.citations import (
    CitationFilter,
    escape_citations,
    find_citations,
    keep_valid,
    without_citations,
)
from ragvis.composer.compose import Composed, beside, compose, from_outside, mark_cited
from ragvis.composer.inputs import Attachment, Past, PromptSpec, Room, Turn
from ragvis.composer.naming import named
from ragvis.composer.neutral import neutral
from ragvis.composer.opening import joined, opened, settled, unasked
from ragvis.composer.sentences import sentences

__all__ = [
    "Attachment",
    "CitationFilter",
    "Composed",
    "Past",
    "PromptSpec",
    "Room",
    "Turn",
    "beside",
    "compose",
    "escape_citations",
    "find_citations",
    "from_outside",
    "joined",
    "keep_valid",
    "mark_cited",
    "named",
    "neutral",
    "opened",
    "sentences",
    "settled",
    "unasked",
    "without_citations",
]
