"""The conditions of a filter as SQL over the table ``file``. Values are bound, never written."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from ragvis.documents.reader import SUFFIXES, kind_of, suffixes_of
from ragvis.errors import UsageError
from ragvis.store.metadata import key_of, value_of
from ragvis.store.normalize import name_key, path_key
from ragvis.store.rows import Where

_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?")
_EDGE = "[ /:;,.()|]"  # before and after a word of a value
# What other words for a type of file mean: kinds of documents, or suffixes
_TYPES = {
    **dict.fromkeys(("image", "photo", "photograph", "pic"), ("picture",)),
    **dict.fromkeys(("jpg", "jpeg"), ("jpg", "jpeg")),
    **dict.fromkeys(("tif", "tiff"), ("tif", "tiff")),
    **dict.fromkeys(("htm", "web", "webpage"), ("html",)),
    "md": ("markdown",),
    "word": ("docx",),
}
_ANY_TEXT = "document"  # and this one every kind but pictures
# Documents' own keys by which people say the same
_AUTHOR = ("author", "authors", "creator", "dc-creator", "article-author", "byline")
_TAG = ("tag", "tags", "keyword", "keywords", "category", "categories", "article-tag")
_TITLE = ("title", "og-title", "dc-title")
_LANGUAGE = ("language", "languages", "lang", "dc-language", "content-language")


def path(value: str) -> Where:
    """Files of such a path, or in such a folder: from any folder on, or from where ``.``, ``..``
    and ``~`` are."""
    value = value.replace("\\", "/")
    whole = os.path.expanduser(value)
    if value.split("/", 1)[0] in (".", ".."):
        whole = os.path.abspath(value)
    if whole == value:
        return _under("*", posixpath.normpath(value))
    found = [_under("", os.path.normpath(whole))]
    given = posixpath.normpath(value)
    if given != ".":  # as it was given to `index`: what is indexed may have been moved since
        found.append(_under("", given))
    return any_of(found)


def _under(before: str, place: str) -> Where:
    key = path_key(place)
    globs = (_glob(key), key.replace("[", "[[]"), _literal(key), f"{_literal(key)}/*")
    return _fits(("path_key", "shown_key"), [before + glob for glob in globs])


def name(value: str) -> Where:
    """Files of such a name; without wildcards, with such a part of their name."""
    key = name_key(value)
    return _fits(("name_key",), [f"*{_literal(key)}*", *([_glob(key)] if _is_wild(key) else [])])


def type_(value: str) -> Where:
    """Files with such a suffix, or of such a kind, in singular or plural.

    Raises:
        UsageError: there is no such type.
    """
    word = value.strip().lower().removeprefix(".")
    suffixes = _suffixes_of(word) or _suffixes_of(word.removesuffix("s"))
    if suffixes:
        return _fits(("name_key",), [f"*{suffix}" for suffix in suffixes])
    known = {*_TYPES, _ANY_TEXT, *(s.removeprefix(".") for s in SUFFIXES), *map(kind_of, SUFFIXES)}
    near = difflib.get_close_matches(word, [str(k) for k in known], 1, 0.5)
    meant = f"Did you mean type:{near[0]}? " if near else ""
    hint = f"{meant}Types are such as pdf, docx, html, markdown, text, jpg and picture."
    raise UsageError(f"the filter knows no type {value!r}", hint)


def _suffixes_of(word: str) -> tuple[str, ...]:
    if word == _ANY_TEXT:
        return tuple(sorted(s for s in SUFFIXES if s not in suffixes_of("picture")))
    return tuple(suffix for kind in _TYPES.get(word, (word,)) for suffix in suffixes_of(kind))


def after(date: str) -> Where:
    """Files last changed then or later."""
    return Where("mtime_ns >= ?", (_nanoseconds(date),))


def before(date: str) -> Where:
    """Files last changed before."""
    return Where("mtime_ns < ?", (_nanoseconds(date),))


def meta(key: str, value: str) -> Where:
    """Files of documents that say this about themselves under a key."""
    return _says((key_of(key),), value)


def author(value: str) -> Where:
    """Files of documents by such an author."""
    return _says(_AUTHOR, value)


def tag(value: str) -> Where:
    """Files of documents with such a tag, keyword or category."""
    return _says(_TAG, value)


def status(value: str) -> Where:
    """Files of documents in such a state."""
    return _says(("status",), value)


def language(value: str) -> Where:
    """Files of documents in a language, by its code; ``de`` means ``de-AT``, too."""
    return any_of([_says(_LANGUAGE, value), _says(_LANGUAGE, f"{value}[-_]*")])


def title(value: str) -> Where:
    """Files of documents with such a title, or by their name where they have none of their own."""
    named = value_of(value).translate(str.maketrans("-_", "  "))
    asked = ", ".join("?" * len(_TITLE))
    by_name = Where(
        f"(document_id NOT IN (SELECT document_id FROM property WHERE key IN ({asked}))"
        " AND ' ' || replace(replace(name_key, '_', ' '), '-', ' ') GLOB ?)",
        (*_TITLE, f"*{_EDGE}{_glob(named)}{_EDGE}*"),
    )
    return any_of([_says(_TITLE, value), by_name])


def _says(keys: tuple[str, ...], value: str) -> Where:
    """A value, or an entry of its list, has these words; as a glob, words that fit it."""
    asked = value_of(value)
    globs = (f"*{_EDGE}{one}{_EDGE}*" for one in (_glob(asked), _literal(asked)))
    fits = _fits(("' ' || value || ' '",), globs)
    sql = f"SELECT document_id FROM property WHERE key IN ({', '.join('?' * len(keys))})"
    return Where(f"document_id IN ({sql} AND {fits.sql})", (*keys, *fits.values))


def _is_wild(key: str) -> bool:
    return re.search(r"[*?\[]", key) is not None


def _glob(key: str) -> str:
    """As SQLite writes a shell's glob."""
    return key.replace("[!", "[^")


def _literal(key: str) -> str:
    """A glob for the text itself."""
    return re.sub(r"[*?\[]", r"[\g<0>]", key)


def _fits(columns: Sequence[str], globs: Iterable[str]) -> Where:
    pairs = [(column, glob) for glob in dict.fromkeys(globs) for column in columns]
    return any_of([Where(f"{column} GLOB ?", (glob,)) for column, glob in pairs])


def any_of(found: Sequence[Where]) -> Where:
    """One of them holds."""
    sql = " OR ".join(one.sql for one in found)
    return Where(f"({sql})", tuple(v for one in found for v in one.values))


def all_of(found: Sequence[Where]) -> Where:
    """Each of them holds; none at all holds always."""
    sql = " AND ".join(one.sql for one in found) or "1"
    return Where(sql, tuple(v for one in found for v in one.values))


def negated(found: Where) -> Where:
    """It does not hold."""
    return Where(f"NOT {found.sql}", found.values)


def _nanoseconds(date: str) -> int:
    """The first moment of a year, month or day, in this machine's time zone."""
    found = _DATE.fullmatch(date)
    try:
        year, month, day = (int(part or 1) for part in found.groups()) if found else (0, 0, 0)
        moment = int(datetime(year, month, day).timestamp()) * 10**9
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{date!r} is no date", "Such as 2024, 2024-01 or 2024-01-31.") from error
    return max(-(2**63), min(2**63 - 1, moment))
