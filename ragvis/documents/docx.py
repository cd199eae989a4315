"""Word documents (.docx): paragraphs, tables and inline pictures in reading order."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import docx
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph

from ragvis.documents.model import Document, Figure, Heading, Page, storable, title_from_name
from ragvis.errors import BadFile
from ragvis.media import images

MAX_UNPACKED = 512 * 2**20  # bytes a .docx may unpack to


def read(path: Path) -> Document:
    """The document as one page, with its inline pictures."""
    _refuse_bombs(path)
    document = docx.Document(str(path))
    lines: list[str] = []
    headings: list[Heading] = []
    length = 0
    for block in document.iter_inner_content():
        text = storable(_text_of(block))
        if text.strip() and _is_heading(block):
            headings.append(Heading(length, " ".join(text.split())))
        lines.append(text + "\n\n")
        length += len(lines[-1])
    own = storable(document.core_properties.title or "").strip()
    title = own or (headings[0].title if headings else title_from_name(path))
    return Document(
        title, (Page(None, "".join(lines), tuple(headings)),), tuple(_figures(document))
    )


def _refuse_bombs(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise BadFile("not a .docx file") from error
    if unpacked > MAX_UNPACKED:
        raise BadFile(f"unpacks to over {MAX_UNPACKED // 2**20} MiB")


def _text_of(block: Paragraph | Table) -> str:
    if isinstance(block, Paragraph):
        return str(block.text)
    rows = (" | ".join(" ".join(cell.text.split()) for cell in row.cells) for row in block.rows)
    return "\n".join(rows)


def _is_heading(block: Paragraph | Table) -> bool:
    if not isinstance(block, Paragraph) or block.style is None:
        return False
    return (block.style.name or "").lower().startswith(("heading", "title"))


def _figures(document: Any) -> Iterator[Figure]:
    ordinal = 0
    for drawing in document.element.body.iter(qn("w:drawing")):
        caption = next((p.get("descr") for p in drawing.iter(qn("wp:docPr"))), None)
        for blip in drawing.iter(qn("a:blip")):
            part = document.part.related_parts.get(blip.get(qn("r:embed")))
            if part is not None:
                opener = partial(images.open_picture, bytes(part.blob))
                yield Figure(ordinal, opener, caption=storable(caption or "").strip() or None)
                ordinal += 1
