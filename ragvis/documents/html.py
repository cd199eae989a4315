"""HTML: visible text with its headings, and pictures that the page carries inside (data: URLs).

Pictures that a page only points to are not opened: a link can point anywhere.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

import lxml.html
from lxml import etree

from ragvis.documents.encoding import declared_encoding, decode
from ragvis.documents.model import (
    Document,
    Figure,
    Heading,
    Page,
    around,
    storable,
    title_from_name,
)
from ragvis.errors import BadFile
from ragvis.media import images
from ragvis.media.fit import Fit

_HIDDEN = {"script", "style", "template", "head", "iframe"}
_BLOCKS = frozenset(
    "address article aside blockquote dd div dl dt fieldset figcaption figure footer form h1 h2 h3 "
    "h4 h5 h6 header hr li main nav ol p pre section table tr ul br".split()
)
_PARAGRAPHS = _BLOCKS - {"br", "li", "tr", "dt", "dd"}
_HEADINGS = {f"h{i}" for i in range(1, 7)}


def read(path: Path) -> Document:
    """The page's text as one page, and its inlined pictures."""
    data = path.read_bytes()
    text = decode(data, declared_encoding(data))
    # lxml refuses str input with an encoding declaration
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    if not text.strip():
        raise BadFile("the file is empty")
    parser = lxml.html.HTMLParser(huge_tree=True, no_network=True)
    root = lxml.html.document_fromstring(text, parser=parser)
    if any("Excessive depth" in entry.message for entry in parser.error_log):
        raise BadFile("nested too deeply")  # libxml2 would leave the rest out without a word
    writer = _Writer()
    writer.visit(root)
    title = " ".join((root.findtext(".//title") or "").split())
    page = Page(None, storable("".join(writer.out)), tuple(writer.headings))
    first = page.headings[0].title if page.headings else title_from_name(path)
    return Document(storable(title) or first, (page,), tuple(_figures(root, page, writer.places)))


class _Writer:
    """Walks the tree with its own stack: documents nest deeper than Python recurses."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.length = 0
        self.headings: list[Heading] = []
        self.places: dict[etree._Element, int] = {}  # where each picture stands in the text

    def visit(self, root: etree._Element) -> None:
        stack: list[tuple[etree._Element, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                self._leave(node)
            elif isinstance(node.tag, str) and node.tag not in _HIDDEN:
                self._enter(node)
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node))
            else:
                self._say(node.tail)

    def _enter(self, node: etree._Element) -> None:
        self._break(node.tag)
        if node.tag in _HEADINGS:
            title = " ".join("".join(map(str, node.itertext())).split())
            if title:
                self.headings.append(Heading(self.length, storable(title)))
        elif node.tag == "img":
            self.places[node] = self.length
        elif node.tag in ("td", "th") and self.out and not self.out[-1].endswith("\n"):
            self._put(" | ")
        self._say(node.text)

    def _leave(self, node: etree._Element) -> None:
        self._break(node.tag)
        self._say(node.tail)

    def _break(self, tag: str) -> None:
        if tag not in _BLOCKS or not self.out:
            return
        wanted = "\n\n" if tag in _PARAGRAPHS else "\n"
        tail = (self.out[-2] if len(self.out) > 1 else "") + self.out[-1]
        if not tail.endswith(wanted):
            self._put("\n" if tail.endswith("\n") else wanted)

    def _say(self, text: str | None) -> None:
        words = re.sub(r"\s+", " ", text or "")
        if not self.out or self.out[-1].endswith(("\n", " ")):
            words = words.lstrip()
        self._put(words)

    def _put(self, text: str) -> None:
        if text:
            self.out.append(text)
            self.length += len(text)


def _figures(root: etree._Element, page: Page, places: dict[etree._Element, int]) -> list[Figure]:
    figures: list[Figure] = []
    for node in root.iter("img"):
        source = (node.get("src") or "").strip()
        if source[:11].lower() == "data:image/":
            alt = " ".join((node.get("alt") or node.get("title") or "").split())
            opener = partial(_open_data_url, source)
            section, near = around(page, places[node]) if node in places else ("", "")
            said = storable(alt) or None
            figures.append(Figure(len(figures), opener, caption=said, section=section, near=near))
    return figures


def _open_data_url(url: str, *, fit: Fit | None = None) -> images.Picture:
    header, _, payload = url.partition(",")
    data = unquote_to_bytes(payload)
    if header.lower().endswith(";base64"):
        try:
            data = base64.b64decode(data)
        except binascii.Error as error:
            raise BadFile(f"broken data: URL ({error})") from error
    return images.open_picture(data, fit=fit)
