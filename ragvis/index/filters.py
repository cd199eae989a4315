"""Filters over files, as a person types them: ``path:invoices/* type:pdf tag:tax``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from ragvis.documents.model import storable
from ragvis.errors import UsageError
from ragvis.index import conditions
from ragvis.index.conditions import all_of, any_of, negated
from ragvis.store.normalize import normalize
from ragvis.store.rows import Where

HELP = (
    "Conditions are path:GLOB, name:GLOB, type:pdf, after:2024-01 and before:2025, and, of what "
    "documents say about themselves, title:, author:, tag:, status:, language: and meta.KEY:. All "
    "must hold; one with - before it must not; the same one twice means either."
)
_MOST = 100  # conditions; SQLite takes only so many at once
_META = re.compile(r"meta\.(?=.*[^\W_])")
_CONDITIONS = {
    "path": conditions.path,
    "name": conditions.name,
    "type": conditions.type_,
    "after": conditions.after,
    "before": conditions.before,
    "title": conditions.title,
    "author": conditions.author,
    "tag": conditions.tag,
    "status": conditions.status,
    "language": conditions.language,
}
_OTHER_NAMES = {
    **dict.fromkeys(("tags", "keyword", "keywords", "category", "categories"), "tag"),
    "authors": "author",
    "lang": "language",
    "file": "name",
    "folder": "path",
}
# A quotation mark opens where a word or a part of one begins; elsewhere it is an apostrophe.
_PIECE = re.compile(
    r"""(?P<space>\s+)"""
    r"""|(?<![^\s:/.-])(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<open>["']))"""
    r"""|(?P<text>["']|[^\s"']+)"""
)
_TYPOGRAPHIC = str.maketrans("“”„‘’", '"""\'\'')


def parse_filter(text: object) -> Where:
    """The SQL condition over the table ``file`` that a filter means.

    Raises:
        UsageError: a condition that is none.
    """
    if not isinstance(text, str):
        raise UsageError(f"the filter {text!r} is no text", HELP)
    words = list(_words(storable(text).translate(_TYPOGRAPHIC)))
    if len(words) > _MOST:
        raise UsageError(f"the filter has {len(words)} conditions", f"At most {_MOST} are taken.")
    groups: dict[str, list[Where]] = {}
    for word in words:
        key, _, value = word.partition(":")
        key = normalize(key)
        name = key.removeprefix("-")
        name = _OTHER_NAMES.get(name, name)
        if not normalize(value).strip() or not (name in _CONDITIONS or _META.match(name)):
            raise UsageError(f"the filter has no condition {word!r}", _hint(name, value))
        sign = "-" if key.startswith("-") else ""
        groups.setdefault(sign + name, []).append(_condition(name, value))
    return all_of(
        [negated(any_of(g)) if key.startswith("-") else any_of(g) for key, g in groups.items()]
    )


def _words(text: str) -> Iterator[str]:
    """Cut at spaces outside quotation marks; a backslash is a part of a Windows path."""
    word = ""
    for found in _PIECE.finditer(text):
        if found["open"]:
            raise UsageError(f"the filter {text!r}: a quotation mark is not closed", HELP)
        if not found["space"]:
            word += found["double"] or found["single"] or found["text"] or ""
        elif word:
            yield word
            word = ""
    if word:
        yield word


def _condition(name: str, value: str) -> Where:
    if name in _CONDITIONS:
        return _CONDITIONS[name](value)
    # A key may have colons, as og:title has, and so may a value
    parts = f"{_META.sub('', name)}:{value}".split(":")
    return any_of(
        [
            conditions.meta(":".join(parts[:at]), ":".join(parts[at:]))
            for at in range(1, min(len(parts), 4))
        ]
    )


def _hint(name: str, value: str) -> str:
    """What may have been meant."""
    near = difflib.get_close_matches(name, [*_CONDITIONS, *_OTHER_NAMES], 1, 0.7)
    if not normalize(value).strip():
        meant = "A condition is a name, a colon and a value. "
    elif near and near[0] != name:
        meant = f"Did you mean {near[0]}:{value}? "
    else:
        meant = f"What documents say about themselves is asked by meta.{name}:{value}. "
    return meant + HELP
