"""Text of a PDF that nobody sees on the page: it is not read.

White on white, invisible, outside of the page, or too small. The invisible text behind a scan is
what was read from it, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from heapq import nlargest
from itertools import groupby
from operator import itemgetter

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ragvis.documents.pdf_objects import PageObjects, address, as_seen, overlap
from ragvis.documents.pdf_text import Characters, Span, merged
from ragvis.media import images
from ragvis.types import Box

_SIDE = 1000  # pixels of the longer side of the page that is looked at
_CONTRAST = 16  # of 255, between the darkest and the lightest of a colour, that can be seen
_PICTURES = 32  # of a page, the largest, on which a text may stand
_BLANKS = re.compile(r"[ \t]*")
_REST = re.compile(r"[ \t]*(?:\r?\n)?")


def hidden(page: pdfium.PdfPage, characters: Characters, objects: PageObjects) -> tuple[Span, ...]:
    """The stretches of the text that are hidden.

    Only on a page with hidden text each character is asked what text it belongs to.
    """
    found = objects.lost | _not_shown(page, objects)
    if not found:
        return ()
    spans = []
    for numbers in _runs(characters, found):
        places = [place for place in map(characters.place, numbers) if place is not None]
        spans += [(places[0], places[-1] + 1)] if places else []
    return _joined(characters.text, merged(spans))


def _not_shown(page: pdfium.PdfPage, objects: PageObjects) -> set[int]:
    """The addresses of texts in whose place there is nothing to be seen.

    What lies on a picture may be the layer behind a scan, or a caption: the page is not looked at.
    """
    suspects = {**objects.faint, **objects.unpainted}
    look = _Look(page, objects)
    return {
        one for one, box in suspects.items() if not look.has_picture(box) and not look.shows(box)
    }


class _Look:
    """A look at the page as it is drawn, once it is needed."""

    def __init__(self, page: pdfium.PdfPage, objects: PageObjects) -> None:
        self._page = page
        boxes = (image.box for image in objects.images)
        self._largest = nlargest(_PICTURES, boxes, key=lambda box: overlap(box, box))
        self._picture: images.Picture | None = None

    def has_picture(self, box: Box) -> bool:
        """Whether the middle of a box lies on one of the page's pictures: a blank, and a letter of
        a font without shapes, has no extent."""
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return any(
            left <= x <= right and bottom <= y <= top for left, bottom, right, top in self._largest
        )

    def shows(self, box: Box) -> bool:
        """Whether there is anything to be seen in a box, or no telling."""
        if not all(self._page.get_size()):
            return True
        picture = self._drawn()
        left, top, width, height = as_seen(self._page, box)
        x0, y0 = int(left * picture.width), int(top * picture.height)
        x1, y1 = round((left + width) * picture.width), round((top + height) * picture.height)
        part = picture.crop((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))
        return images.contrast(part) >= _CONTRAST

    def _drawn(self) -> images.Picture:
        if self._picture is None:
            scale = _SIDE / max(*self._page.get_size(), 1.0)
            draw = self._page.render(scale=scale, draw_annots=False, may_draw_forms=False)
            self._picture = draw.to_pil()
        return self._picture


def _runs(characters: Characters, hidden: set[int]) -> Iterator[list[int]]:
    """The numbers of characters of hidden texts, those of one text that follow one another."""
    text_of, page = pdfium_c.FPDFText_GetTextObject, characters.textpage.raw
    owners = (address(text_of(page, n)) for n in range(characters.textpage.count_chars()))
    for owner, run in groupby(enumerate(owners), key=itemgetter(1)):
        if owner in hidden:
            yield [number for number, _ in run]


def _joined(text: str, spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """With the blanks behind them; with the line's end too, where the line began with them."""
    wider: list[Span] = []
    for start, end in spans:
        begins = start == 0 or text[start - 1] == "\n" or (wider and wider[-1][1] == start)
        behind = (_REST if begins else _BLANKS).match(text, end)
        wider.append((start, behind.end() if behind else end))
    return merged(wider)
