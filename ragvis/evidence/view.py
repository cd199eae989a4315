"""A source as its reader would see it: the passage in its text, the picture, the page."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragvis import documents
from ragvis._text import word_end, word_start
from ragvis.documents.pdf_page import view as page_view
from ragvis.errors import BadFile
from ragvis.index import check_unchanged, picture_of
from ragvis.media.images import save_jpeg
from ragvis.types import Box, Hit, Source

if TYPE_CHECKING:
    from ragvis.media.images import Picture

_AROUND = 400  # characters of a document shown on either side of a passage
_LONGEST = 1100  # pixels of the longer side of a picture


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a source.

    Attributes:
        source: itself.
        picture: a ``data:`` URL of it, or of its page; None where there is none.
        boxes: left, top, width, height of its places on the picture, in percent.
        before, passage, after: its text, with that around it in its document, in whole words.
        trouble: why its file is not shown, or "".
    """

    source: Source
    picture: str | None = None
    boxes: tuple[Box, ...] = ()
    before: str = ""
    passage: str = ""
    after: str = ""
    trouble: str = ""


def view_of(source: Source) -> View:
    """Open a source's file again; where it cannot be, or has changed, that is said."""
    hit = source.hit
    try:
        if hit.modality == "image":
            return _picture(source)
        return _passage(source, check_unchanged(hit))
    except BadFile as error:
        return View(source, passage=hit.text or "", trouble=str(error))


def _passage(source: Source, file: Path) -> View:
    hit = source.hit
    before, passage, after = _in_its_text(hit, file)
    if documents.kind_of(file) != "pdf" or hit.page is None:
        return View(source, None, (), before, passage, after)
    seen = page_view(file, hit.page, hit.span, None)
    return View(source, _shown(seen.picture), _percent(seen.boxes), before, passage, after)


def _picture(source: Source) -> View:
    hit = source.hit
    said = hit.text or ""
    if hit.bbox is None or hit.page is None:
        return View(source, _shown(picture_of(hit)), passage=said)
    seen = page_view(check_unchanged(hit), hit.page, None, hit.bbox)
    return View(source, _shown(seen.picture), _percent(seen.boxes), passage=said)


def _in_its_text(hit: Hit, file: Path) -> tuple[str, str, str]:
    if hit.span is None:
        return "", hit.text or "", ""
    pages = _pages(file, hit.sha256)
    text = next((page.text for page in pages if page.number == hit.page), "")
    start, end = hit.span
    first, last = word_start(text, start - _AROUND), word_end(text, end + _AROUND)
    before = ("…" if first else "") + text[first:start]
    return before, text[start:end], text[end:last] + ("…" if last < len(text) else "")


@functools.lru_cache(maxsize=4)
def _pages(file: Path, _sha256: str) -> tuple[documents.Page, ...]:
    """A file's text, read once for all of its passages that are sources."""
    return documents.read(file).pages


def _shown(picture: Picture) -> str:
    data = base64.b64encode(save_jpeg(picture, _LONGEST)).decode()
    return f"data:image/jpeg;base64,{data}"


def _percent(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
    return tuple((100 * x, 100 * y, 100 * w, 100 * h) for x, y, w, h in boxes)
