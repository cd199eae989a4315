"""HTML: visible text with its headings, and pictures that the page carries inside (data: URLs).

Pictures that a page only points to are not opened: a link can point anywhere.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

import lxml.html
from lxml import etree

from ragvis.documents.encoding import declared_encoding, decode
from ragvis.documents.html_style import StyleSheet
from ragvis.documents.html_visibility import Seen
from ragvis.documents.html_writer import HtmlWriter
from ragvis.documents.model import (
    Document,
    Figure,
    Page,
    around,
    storable,
    title_from_name,
)
from ragvis.documents.text_tokens import Story
from ragvis.errors import BadFile
from ragvis.media import images
from ragvis.media.fit import Fit

_METADATA = ("description", "keywords", "author")  # names of <meta> elements
MAX_METADATA = 2000  # characters of one of them


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
    for after in list(root.itersiblings()):  # what stands behind </html>, which browsers show
        root.append(after)
    sheet = StyleSheet(root)
    story = HtmlWriter(sheet, Seen(background=_background(root))).write(root)
    title = _title(root)
    page = Page(None, story.text, story.headings)
    first = page.headings[0].title if page.headings else title_from_name(path)
    return Document(title or first, (page,), tuple(_figures(root, page, story)), _metadata(root))


def _title(root: etree._Element) -> str:
    for node in root.iter("title"):
        parent = node.getparent()
        if parent is not None and parent.tag in (
            "head",
            "html",
            "body",
        ):  # a drawing has titles too
            return storable(" ".join((node.text or "").split()))
    return ""


def _background(root: etree._Element) -> str | None:
    """The page's background unless something says otherwise, or None if that may be elsewhere."""
    for node in root.iter("link", "meta", "style"):
        told = f"{node.get('rel')} {node.get('name')} {node.text if node.tag == 'style' else ''}"
        if "stylesheet" in told or "color-scheme" in told:
            return None
    return "#ffffff"


def _metadata(root: etree._Element) -> dict[str, str]:
    """What the page says about itself and does not show."""
    found: dict[str, str] = {}
    for node in root.iter("meta"):
        name = (node.get("name") or "").strip().lower()
        if name in _METADATA:
            found.setdefault(name, node.get("content") or "")
    found["language"] = root.get("lang") or root.get("xml:lang") or ""
    said = {key: " ".join(storable(value).split())[:MAX_METADATA] for key, value in found.items()}
    return {key: value for key, value in said.items() if value}


def _figures(root: etree._Element, page: Page, story: Story) -> Iterator[Figure]:
    """The pictures that are inside of the page and seen."""
    ordinal = 0
    for node in root.iter("img"):
        source = (node.get("src") or "").strip()
        if node not in story.places or source[:11].lower() != "data:image/":
            continue
        alt = " ".join((node.get("alt") or node.get("title") or "").split())
        opener = partial(_open_data_url, source)
        section, near = around(page, story.places[node])
        yield Figure(ordinal, opener, caption=storable(alt) or None, section=section, near=near)
        ordinal += 1


def _open_data_url(url: str, *, fit: Fit | None = None) -> images.Picture:
    header, _, payload = url.partition(",")
    data = unquote_to_bytes(payload)
    if header.lower().endswith(";base64"):
        try:
            data = base64.b64decode(data)
        except binascii.Error as error:
            raise BadFile(f"broken data: URL ({error})") from error
    return images.open_picture(data, fit=fit)
