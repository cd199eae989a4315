"""Word files written part by part, for what python-docx does not write."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

USUAL = "http://schemas.openxmlformats.org/"
NAMESPACES = {
    "w": USUAL + "wordprocessingml/2006/main",
    "m": USUAL + "officeDocument/2006/math",
    "r": USUAL + "officeDocument/2006/relationships",
    "a": USUAL + "drawingml/2006/main",
    "c": USUAL + "drawingml/2006/chart",
    "dgm": USUAL + "drawingml/2006/diagram",
    "pic": USUAL + "drawingml/2006/picture",
    "wp": USUAL + "drawingml/2006/wordprocessingDrawing",
    "mc": USUAL + "markup-compatibility/2006",
    "v": "urn:schemas-microsoft-com:vml",
    "o": "urn:schemas-microsoft-com:office:office",
}
_NAMES = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
_RELATION = USUAL + "officeDocument/2006/relationships/"
_PACKAGE = USUAL + "package/2006/relationships"


def tree(tag: str, inner: str) -> str:
    """A part's XML."""
    return f'<?xml version="1.0" encoding="UTF-8"?><{tag} {_NAMES}>{inner}</{tag}>'


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """A ``.rels`` part: id -> (kind, target); a target with ``://`` is outside."""
    entries = (
        f'<Relationship Id="{name}" Type="{_RELATION}{kind}" Target="{target}"'
        + (' TargetMode="External"/>' if "://" in target else "/>")
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}">{"".join(entries)}</Relationships>'


def write_docx(
    file: Path,
    body: str,
    targets: Mapping[str, tuple[str, str]] | None = None,
    parts: Mapping[str, str | bytes] | None = None,
    is_strict: bool = False,
) -> Path:
    """A Word file of a body, and of parts that ``targets`` refers to (``word/`` is added)."""
    main = {"rId1": ("officeDocument", "word/document.xml")}
    contents: dict[str, str | bytes] = {
        "_rels/.rels": relations(main),
        "word/document.xml": tree("w:document", f"<w:body>{body}</w:body>"),
        "word/_rels/document.xml.rels": relations(targets or {}),
        **{f"word/{name}": part for name, part in (parts or {}).items()},
    }
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in contents.items():
            data = part
            if is_strict and isinstance(data, str):
                for word in ("wordprocessingml", "drawingml", "officeDocument"):
                    data = data.replace(
                        f"{USUAL}{word}/2006/", f"http://purl.oclc.org/ooxml/{word}/"
                    )
            archive.writestr(name, data)
    return file


def paragraph(text: str, properties: str = "", run: str = "") -> str:
    """A paragraph of one run."""
    return (
        f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:rPr>{run}</w:rPr>"
        f'<w:t xml:space="preserve">{text}</w:t></w:r></w:p>'
    )


def table(*rows: list[str]) -> str:
    """A table; a cell that begins with ``<w:tc`` is taken as it is."""
    return (
        "<w:tbl>"
        + "".join(
            "<w:tr>"
            + "".join(c if c.startswith("<w:tc") else f"<w:tc>{paragraph(c)}</w:tc>" for c in row)
            + "</w:tr>"
            for row in rows
        )
        + "</w:tbl>"
    )
