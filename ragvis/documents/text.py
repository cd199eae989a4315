"""Plain text and Markdown. The extracted text is the file's own, so spans point into the file."""

from __future__ import annotations

import re
from pathlib import Path

from charset_normalizer import from_bytes

from ragvis.documents.model import MAX_TEXT, Document, Heading, Page, storable, title_from_name
from ragvis.errors import BadFile

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_ATX = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_SETEXT = re.compile(r"^(?=\S)(?![-*+>] )([^\n]{1,200})\n(?:={3,}|-{3,})[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_MARKDOWN = {".md", ".markdown"}


def read(path: Path) -> Document:
    """The file as one page.

    Raises:
        BadFile: binary, or in no known encoding.
    """
    text = storable(decode(path.read_bytes()))
    if len(text) > MAX_TEXT:
        raise BadFile(f"over {MAX_TEXT // 2**20} million characters")
    headings = _headings(text) if path.suffix.lower() in _MARKDOWN else ()
    title = headings[0].title if headings else _first_line_title(text) or title_from_name(path)
    return Document(title, (Page(None, text, headings),))


def decode(data: bytes) -> str:
    """Bytes of a text file in whatever encoding they are.

    Raises:
        BadFile: they are not text.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    if b"\x00" in data[:8192]:
        raise BadFile("binary data, not text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        best = from_bytes(data[: 2**20]).best()
    if best is None:
        raise BadFile("text in no known encoding")
    return data.decode(best.encoding, "replace")


def _headings(text: str) -> tuple[Heading, ...]:
    fences = [m.span() for m in _FENCE.finditer(text)]
    found = [*_ATX.finditer(text), *_SETEXT.finditer(text)]
    kept = [m for m in found if not any(a <= m.start() < b for a, b in fences)]
    return tuple(Heading(m.start(), m[1].strip()) for m in sorted(kept, key=lambda m: m.start()))


def _first_line_title(text: str) -> str | None:
    """A short first line that stands alone is how people title a plain note."""
    match = re.match(r"\s*([^\n]{3,80})\n[ \t]*(?:\n|={3,}|-{3,})", text)
    if match is None or match[1].rstrip().endswith((".", ",", ";")):
        return None
    return match[1].strip()
