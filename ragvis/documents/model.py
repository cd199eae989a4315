"""What every reader brings back."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ragvis.types import Box

if TYPE_CHECKING:
    from ragvis.media.fit import Fit
    from ragvis.media.images import Picture

MAX_TEXT = 64 * 2**20  # characters taken from one document
MAX_TITLE = 200  # characters
NEAR = 240  # characters of text on either side of a picture that tell of it
# Lone surrogates cannot be stored as UTF-8, and NUL ends a string in too many places.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading and the character offset at which its line starts."""

    start: int
    title: str


@dataclass(frozen=True, slots=True)
class Page:
    """Extracted text: of one page (``number`` from 1), or of a whole file (None)."""

    number: int | None
    text: str
    headings: tuple[Heading, ...] = ()


class Opener(Protocol):
    """Decodes a picture: in full, or at no less than ``fit`` needs. May raise BadFile."""

    def __call__(self, *, fit: Fit | None = None) -> Picture: ...


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of a document, decoded when it is opened."""

    ordinal: int
    open: Opener
    page: int | None = None
    bbox: Box | None = None
    caption: str | None = None
    section: str = ""  # the nearest heading above it
    near: str = ""  # the text around it


@dataclass(frozen=True, slots=True)
class Document:
    """One file as read.

    Attributes:
        title: its own, or one made of the file's name.
        pages: its text.
        figures: its pictures.
        metadata: what it says about itself, such as a front matter's keys: key -> value. It is
            searched and filtered by, and is no text.
        unread: parts that no reader reads, such as ``chart 1`` -> why. They are reported.
    """

    title: str
    pages: tuple[Page, ...] = ()
    figures: tuple[Figure, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


def storable(text: str) -> str:
    """The same text, as long, with what cannot be stored replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def around(page: Page, at: int) -> tuple[str, str]:
    """The heading above a place in a text, and the words around it, within its section."""
    below = bisect_right(page.headings, at, key=lambda heading: heading.start)
    above = page.headings[below - 1] if below else None
    start = max(at - NEAR, above.start if above else 0)
    end = min(at + NEAR, *(h.start for h in page.headings[below : below + 1]), len(page.text))
    words = page.text[start:end].split()
    return (above.title if above else ""), " ".join(words)


def short(title: str) -> str:
    """A title that can stand before every passage of its document."""
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1] + "…"


def title_from_name(path: Path | str) -> str:
    """A readable title out of a file name: ``flag-of_japan.jpg`` -> ``flag of japan``."""
    name = os.path.basename(path)
    words = re.sub(r"[\s_\-]+", " ", storable(os.path.splitext(name)[0])).strip()
    return words or storable(name)
