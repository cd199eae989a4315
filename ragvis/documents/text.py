"""Plain text and Markdown. The extracted text is the file's own, so spans point into the file."""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path

from ragvis.documents.encoding import decode
from ragvis.documents.model import MAX_TEXT, Document, Heading, Page, storable, title_from_name
from ragvis.errors import BadFile

_ATX = re.compile(r"^ {0,3}#{1,6}[ \t]+([^\r\n]+)", re.MULTILINE)
_SETEXT = re.compile(
    r"^(?=\S)(?![-*+>] )([^\r\n]{1,200})\r?\n(?:={3,}|-{3,})[ \t]*\r?$", re.MULTILINE
)
_FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)
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


def _headings(text: str) -> tuple[Heading, ...]:
    found = [(m.start(), m[1].strip(" \t#")) for m in _ATX.finditer(text)]
    found += [(m.start(), m[1].strip()) for m in _SETEXT.finditer(text)]
    fences = _fence_lines(text)
    # An odd number of fence lines before it means that a line stands inside a code block.
    kept = [(at, title) for at, title in found if title and not bisect_right(fences, at) % 2]
    return tuple(Heading(at, title) for at, title in sorted(kept))


def _fence_lines(text: str) -> list[int]:
    """Where code blocks open and close, in turn; one kind of fence does not close the other."""
    places: list[int] = []
    opened = ""
    for match in _FENCE.finditer(text):
        if opened in ("", match[1]):
            opened = "" if opened else match[1]
            places.append(match.start())
    return places


def _first_line_title(text: str) -> str | None:
    """A short first line that stands alone is how people title a plain note."""
    match = re.match(r"\s*([^\r\n]{3,80})\r?\n[ \t]*(?:\r?\n|={3,}|-{3,})", text)
    if match is None or match[1].rstrip().endswith((".", ",", ";")):
        return None
    return match[1].strip()
