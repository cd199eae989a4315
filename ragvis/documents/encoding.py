"""Bytes of a text file to its text, in whatever encoding they are."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata

from ragvis.documents.code_pages import code_page_of, text_in
from ragvis.errors import BadFile

_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),  # begins as UTF-16's does, so it is looked for first
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WIDE = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}  # bytes of a unit
_HEAD = 8192  # bytes that tell whether a file is text at all
# One character of UTF-8 that is not ASCII (the Unicode standard, table 3-7).
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_NOT_ASCII = bytes(range(0x80, 0x100))
_CONTROLS = "\t\n\v\f\r\x1a\x1b"  # that texts hold, DOS's end of file and terminals' colours too
_SHIFT = {b"\x1b$)C": "iso2022_kr", b"\x1b$": "iso2022_jp_ext"}  # escapes that begin a charset

_DECLARATION = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']\s*([\w.:-]+)"""
    rb"""|<meta[^>]{0,400}?charset\s*=\s*["']?\s*([\w.:-]+)""",
    re.IGNORECASE,
)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
# Labels that mean more than they say (WHATWG, Encoding Standard, section 4.2), by Python's names.
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "utf-16": "utf-8",  # a declaration that can be read byte by byte is not in UTF-16
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
}
_LABELS = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "x-gbk": "gb18030",
    "x-x-big5": "cp950",
    "x-euc-jp": "euc_jp",
    "x-mac-roman": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "iso-8859-8-i": "iso8859-8",
    "logical": "iso8859-8",
    "koi": "koi8-r",
    "koi8": "koi8-r",
    "unicode": "utf-8",
    "x-unicode20utf8": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
}
# Python's names of encodings that a page may be in; it knows others that run code or are none.
_ENCODINGS = re.compile(
    r"cp(1250|1251|1252|1253|1254|1255|1256|1257|1258|437|850|852|855|866|874|932|949|950)"
    r"|iso8859-\d+|koi8[-_][rut]|mac-(roman|cyrillic|greek|turkish|latin2|centeuro)"
    r"|gb18030|big5hkscs|euc_(jp|jis_2004|jisx0213)|johab|utf-8"
)


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of a file's bytes.

    Marks at the beginning and what the bytes themselves say come before ``declared``, an encoding
    by Python's name (see ``declared_encoding``): many declarations are wrong.

    Raises:
        BadFile: they are not text.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    if b"\x00" in data[:_HEAD]:
        return _wide(data)
    shifted = _shifted(data)
    if shifted is not None:
        return shifted
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _legacy(data, None if declared == "utf-8" else declared)


def declared_encoding(data: bytes) -> str | None:
    """The encoding that an HTML or XML file names in its beginning, as Python calls it.

    ``<?xml encoding="…">``, ``<meta charset="…">`` and ``<meta http-equiv … charset=…>`` name it.
    A label stands for what browsers take it for: ``iso-8859-1`` for Windows-1252.
    """
    match = _DECLARATION.search(_COMMENT.sub(b"", data[:4096]))
    if match is None:
        return None
    label = (match[1] or match[2]).decode("ascii", "replace").lower()
    try:
        name = _LABELS.get(label) or codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    name = _MEANT.get(name, name)
    return name if _ENCODINGS.fullmatch(name) else None


def _wide(data: bytes) -> str:
    """Text in UTF-16 or UTF-32 without a mark: at least its line ends and blanks hold NUL."""
    head = data[:_HEAD]
    for encoding, width in _WIDE.items():
        sample = head[: len(head) // width * width].decode(encoding, "ignore")
        if 10 * len(sample) * width >= 9 * len(head) and _is_text(sample):
            return data.decode(encoding, "replace")
    raise BadFile("binary data, not text")


def _is_text(sample: str) -> bool:
    """Whether a wide text holds what texts hold: blanks, and neither controls nor gaps."""
    odd = sum(unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") for c in sample)
    odd -= sum(sample.count(c) for c in _CONTROLS)
    plain = sum(c in " \n" or (c.isascii() and c.isalnum()) for c in sample)
    return 50 * odd <= len(sample) <= 50 * plain


def _shifted(data: bytes) -> str | None:
    """Text in ISO 2022, all ASCII but for escapes, as old mail in Japanese and Korean is."""
    for escape, encoding in _SHIFT.items():
        if escape in data and data.isascii():
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                return None
    return None


def _legacy(data: bytes, declared: str | None) -> str:
    """What is not all UTF-8: UTF-8 with broken bytes, a code page, or lines of both.

    Bytes of a code page hardly ever make valid multibyte sequences of UTF-8. So a line where such
    sequences prevail is UTF-8, and torn where it is not valid; the other lines are not.
    """
    valid = stray = 0
    for line in io.BytesIO(data):  # one at a time: there can be millions
        good, bad = _sequences(line)
        if good < 2 * bad:
            stray += bad
        elif good:  # a rule drawn with one character is no evidence
            valid += len(set(_MULTIBYTE.findall(line)))
    if valid < stray and (valid < 3 or 10 * valid < stray):
        return _in_code_page(data, declared)
    others = b"".join(line for line in io.BytesIO(data) if not _prevails(line))
    name = code_page_of(others, declared) if others else "utf-8"
    out = io.StringIO(newline="")
    for line in io.BytesIO(data):
        out.write(line.decode("utf-8", "replace") if _prevails(line) else text_in(line, name))
    return out.getvalue()


def _sequences(line: bytes) -> tuple[int, int]:
    """How many characters of UTF-8 outside ASCII a line holds, and how many bytes of no such."""
    if line.isascii():
        return 0, 0
    rest, good = _MULTIBYTE.subn(b"", line)
    return good, len(rest) - len(rest.translate(None, _NOT_ASCII))


def _prevails(line: bytes) -> bool:
    """Whether a line is UTF-8, up to a few broken bytes."""
    good, bad = _sequences(line)
    return good >= 2 * bad


def _in_code_page(data: bytes, declared: str | None) -> str:
    text = text_in(data, code_page_of(data, declared))
    head = text[:_HEAD]
    odd = sum(c == "\ufffd" or unicodedata.category(c) == "Cc" for c in head)
    odd -= sum(head.count(c) for c in _CONTROLS)
    if 20 * odd > len(head):
        raise BadFile("text in no known encoding")
    return text
