"""Word documents (.docx): all text in reading order, and inline pictures.

python-docx leaves out content controls, tracked insertions, text boxes and nested tables, so the
paragraphs are taken from the XML itself.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import docx
from docx.oxml.ns import qn
from lxml import etree

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

MAX_UNPACKED = 512 * 2**20  # bytes a .docx may unpack to
# Deleted text, and the copy of a drawing that old readers are given.
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_SKIPPED = {qn("w:del"), qn("w:moveFrom"), f"{{{_COMPATIBILITY}}}Fallback"}
_BREAKS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n"}
_NOTES = ("footnotes", "endnotes")


def read(path: Path) -> Document:
    """The document as one page, with its inline pictures; headers and notes come last."""
    _refuse_bombs(path)
    document = docx.Document(str(path))
    styles = {s.style_id: (s.name or "").lower() for s in document.styles}
    pieces: list[str] = []
    headings: list[Heading] = []
    length = 0
    places: dict[Any, int] = {}  # where each paragraph begins in the text
    for root in _roots(document):
        for paragraph in root.iter(qn("w:p")):
            places[paragraph] = length
            text = "" if _is_skipped(paragraph) else storable(_text_of(paragraph))
            if text.strip() and _style(paragraph, styles).startswith(("heading", "title")):
                headings.append(Heading(length, " ".join(text.split())))
            pieces.append(text + _ending(paragraph) if text.strip() else "")
            length += len(pieces[-1])
    own = storable(document.core_properties.title or "").strip()
    title = own or (headings[0].title if headings else title_from_name(path))
    page = Page(None, "".join(pieces), tuple(headings))
    return Document(title, (page,), tuple(_figures(document, page, places)))


def _refuse_bombs(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise BadFile("not a .docx file") from error
    if unpacked > MAX_UNPACKED:
        raise BadFile(f"unpacks to over {MAX_UNPACKED // 2**20} MiB")


def _roots(document: Any) -> Iterator[Any]:
    """The XML trees that hold text: the body, headers and footers, notes."""
    yield document.element.body
    for section in document.sections:
        for part in (section.header, section.footer):
            if not part.is_linked_to_previous:
                yield part._element
    for relation in document.part.rels.values():
        if not relation.is_external and relation.reltype.endswith(_NOTES):
            parser = etree.XMLParser(resolve_entities=False, no_network=True)
            yield etree.fromstring(relation.target_part.blob, parser)


def _is_skipped(paragraph: Any) -> bool:
    return any(ancestor.tag in _SKIPPED for ancestor in paragraph.iterancestors())


def _text_of(paragraph: Any) -> str:
    """Its runs' text, those of inner paragraphs (text boxes) left to themselves."""
    words = []
    stack = list(reversed(paragraph))
    while stack:
        node = stack.pop()
        if node.tag == qn("w:t"):
            words.append(node.text or "")
        elif node.tag in _BREAKS:
            words.append(_BREAKS[node.tag])
        elif node.tag not in _SKIPPED and node.tag != qn("w:p"):
            stack.extend(reversed(node))
    return "".join(words)


def _ending(paragraph: Any) -> str:
    """Cells of a row stay on one line; everything else is a paragraph."""
    cell = next(paragraph.iterancestors(qn("w:tc")), None)
    if cell is None:
        return "\n\n"
    return "\n" if cell.getnext() is None else " | "


def _style(paragraph: Any, styles: dict[str, str]) -> str:
    named = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
    return styles.get(named.get(qn("w:val")), "") if named is not None else ""


def _figures(document: Any, page: Page, places: dict[Any, int]) -> Iterator[Figure]:
    ordinal = 0
    for drawing in document.element.body.iter(qn("w:drawing")):
        caption = next((p.get("descr") for p in drawing.iter(qn("wp:docPr"))), None)
        holder = next(drawing.iterancestors(qn("w:p")), None)
        section, near = around(page, places.get(holder, 0))
        said = storable(caption or "").strip() or None
        for blip in drawing.iter(qn("a:blip")):
            part = document.part.related_parts.get(blip.get(qn("r:embed")))
            if part is not None:
                opener = partial(images.open_picture, bytes(part.blob))
                yield Figure(ordinal, opener, caption=said, section=section, near=near)
                ordinal += 1
