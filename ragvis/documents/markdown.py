"""Markdown: its headings, and what a reader of the page does not see.

What is not seen is blanked and not cut out, so that offsets stay those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt

from ragvis.documents.model import Heading

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\r\n]*)")
_ATX = re.compile(r" {0,3}#{1,6}(?:[ \t]+(.*))?$")
_UNDERLINE = re.compile(r" {0,3}(?:={3,}|-{3,})[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
# Lines that begin a list, a quotation, a table, HTML, or code: the lines below belong to them.
_CONTAINER = re.compile(r" {0,3}(?:[-*+](?:[ \t]|$)|\d{1,9}[.)](?:[ \t]|$)|[>|<])|\t| {4}")
_HTML_HEADING = re.compile(r" {0,3}<h([1-6])\b[^>]*>(.*)</h\1>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_MATH = re.compile(r"\s*\$\$(?!.*\$\$)")
_COMMENT = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|<!--")
_NOT_LINE_END = re.compile(r"[^\r\n]")
# [[target|text]] of wikis, and [text][name] whose target stands elsewhere in the file.
_LINK = re.compile(r"\[\[(?:[^\]|]*\|)?([^\]|]+)\]\]|\[([^\[\]]+)\]\[[^\[\]]*\]")
_ATTRIBUTES = re.compile(r"[ \t]*\{[#.:][^}]*\}$")
_FORMATTED = re.compile(r"[*_`\[\]<>&\\~!]")
_MOST_LINES = 3  # of an underlined heading
_LONGEST = 400  # characters of a heading that are looked at

_INLINE = MarkdownIt("commonmark").enable("strikethrough")


def headings(text: str) -> tuple[Heading, ...]:
    """The headings of a text in which comments are blanked (see ``without_comments``)."""
    found: list[Heading] = []
    paragraph: list[str] | None = []  # the lines of the open one; None inside of a container
    start = 0  # of the paragraph
    for at, line in _lines_outside_code(text, math=True):
        if line is None or not line.strip():
            paragraph = []
        elif atx := _ATX.match(line):
            found.append(Heading(at, as_seen(_unclosed(atx[1] or ""))))
            paragraph = []
        elif paragraph and _UNDERLINE.match(line):
            if len(paragraph) <= _MOST_LINES:
                found.append(Heading(start, as_seen(" ".join(paragraph))))
            paragraph = []
        elif _RULE.match(line):
            paragraph = []
        elif not paragraph and (paragraph is None or _CONTAINER.match(line)):
            paragraph = None
            if tag := _HTML_HEADING.match(line):
                found.append(Heading(at, as_seen(_TAG.sub("", tag[2][:_LONGEST]))))
        else:
            start = start if paragraph else at
            paragraph = [*(paragraph or ()), line.strip()[:_LONGEST]][: _MOST_LINES + 1]
    return tuple(heading for heading in found if heading.title)


def _unclosed(title: str) -> str:
    """A heading without the ``#`` that may close it, as in ``# Title #``."""
    title = title.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if bare[-1:] in ("", " ", "\t") else title


def without_comments(text: str) -> str:
    """The text, as long, with the HTML comments outside of code blanked."""
    parts: list[str] = []
    done = 0
    for at, line in _lines_outside_code(text, math=False):
        if line is None or "<!--" not in line:
            continue
        for match in _COMMENT.finditer(line):
            begin = at + match.start()
            if match[1] or begin < done:
                continue
            end = text.find("-->", begin + 4)
            if end < 0:
                return "".join(parts) + text[done:]
            parts += (text[done:begin], blank(text[begin : end + 3]))
            done = end + 3
    return "".join(parts) + text[done:]


def blank(text: str) -> str:
    """Blanks instead of a text, with its line ends."""
    return _NOT_LINE_END.sub(" ", text)


def as_seen(title: str) -> str:
    """A heading's text as its reader sees it: without marks, link targets and code's ticks."""
    title = _ATTRIBUTES.sub("", title[:_LONGEST])
    if not _FORMATTED.search(title):
        return " ".join(title.split())
    inline = _INLINE.parseInline(_LINK.sub(r"\1\2", title))[0]
    seen = "".join(_seen(token.type, token.content) for token in inline.children or ())
    return " ".join(seen.split())


def _seen(kind: str, content: str) -> str:
    if kind in ("softbreak", "hardbreak"):
        return " "
    return content if kind in ("text", "code_inline", "image", "text_special") else ""


def _lines_outside_code(text: str, *, math: bool) -> Iterator[tuple[int, str | None]]:
    """Each line without its end and where it begins; None for one in a code or formula block."""
    closing: re.Pattern[str] | None = None
    last_dollars = text.rfind("$$") if math else -1
    for match in _LINE.finditer(text):
        line = match[0].rstrip("\r\n")
        if closing:
            closing = None if closing.match(line) else closing
            yield match.start(), None
            continue
        fence = _FENCE.match(line)
        if fence and not (fence[1][0] == "`" and "`" in fence[2]):
            mark = re.escape(fence[1][0])
            closing = re.compile(rf" {{0,3}}{mark}{{{len(fence[1])},}}[ \t]*$")
        elif match.end() <= last_dollars and _MATH.match(line):
            closing = re.compile(r".*\$\$")
        yield match.start(), None if closing else line
