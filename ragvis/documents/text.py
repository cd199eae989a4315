"""Plain text and Markdown. The extracted text is the file's own, so spans point into the file.

A Markdown file's front matter and comments are no text: blanks stand in their place.
"""

from __future__ import annotations

import re
from pathlib import Path

from ragvis.documents import markdown
from ragvis.documents.encoding import decode
from ragvis.documents.front_matter import front_matter
from ragvis.documents.model import MAX_TEXT, Document, Page, storable, title_from_name
from ragvis.errors import BadFile

_MARKDOWN = {".md", ".markdown"}


def read(path: Path) -> Document:
    """The file as one page.

    Raises:
        BadFile: binary, in no known encoding, or too long.
    """
    data = path.read_bytes()
    text = storable(decode(data)) if len(data) <= 4 * MAX_TEXT else ""  # at most 4 a character
    if len(text) > MAX_TEXT or len(data) > 4 * MAX_TEXT:
        raise BadFile(f"over {MAX_TEXT // 2**20} million characters")
    if path.suffix.lower() in _MARKDOWN:
        return _markdown(text, path)
    title = _first_line_title(text) or title_from_name(path)
    return Document(title, (Page(None, text),))


def _markdown(text: str, path: Path) -> Document:
    matter = front_matter(text)
    said = matter.values if matter else {}
    start = matter.end if matter else 0
    body = markdown.without_comments(markdown.blank(text[:start]) + text[start:])
    headings = markdown.headings(body)
    first = headings[0].title if headings else _first_line_title(body)
    title = said.get("title") or first or title_from_name(path)
    # A note that is nothing but front matter is found by it.
    page = Page(None, body if body.strip() else text, headings)
    return Document(title, (page,), metadata=said)


def _first_line_title(text: str) -> str | None:
    """A short first line that stands alone is how people title a plain note."""
    match = re.match(r"\s*([^\r\n]{3,80})\r?\n[ \t]*(?:\r?\n|={3,}|-{3,})", text)
    if match is None or match[1].rstrip().endswith((".", ",", ";")):
        return None
    return match[1].strip()
