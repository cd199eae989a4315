"""Filters over files, as a person types them: ``path:invoices/* type:pdf after:2024-01``."""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Callable
from datetime import datetime

from ragvis.documents.model import storable
from ragvis.documents.reader import suffixes_of
from ragvis.errors import UsageError
from ragvis.store.rows import Where

HELP = (
    "Conditions are path:GLOB, name:GLOB, type:pdf, after:2024-01 and before:2025, all of which "
    "must hold; one with - before it must not; the same one twice means either."
)
_ASCII = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?")
_PLACE = "'/' || replace(lower({}), '\\', '/')"  # matched from any of its parts on
_MOST = 100  # conditions; SQLite takes only so many at once


def parse_filter(text: str) -> Where:
    """The SQL condition over the table ``file`` that a filter means.

    Raises:
        UsageError: a condition that is none.
    """
    try:
        words = list(_words(storable(text)))
    except (ValueError, TypeError) as error:
        raise UsageError(f"the filter {text!r}: {error}", HELP) from error
    if len(words) > _MOST:
        raise UsageError(f"the filter has {len(words)} conditions", f"At most {_MOST} are taken.")
    groups: dict[str, list[Where]] = {}
    for word in words:
        key, colon, value = word.partition(":")
        name = key.removeprefix("-")
        if not colon or not value or name not in _CONDITIONS:
            raise UsageError(f"the filter has no condition {word!r}", HELP)
        groups.setdefault(key, []).append(_CONDITIONS[name](value))
    return _all_of([_any_of(found, key.startswith("-")) for key, found in groups.items()])


def _words(text: str) -> shlex.shlex:
    """Cut at spaces outside quotes; a backslash is a part of a Windows path."""
    words = shlex.shlex(text, posix=True)
    words.whitespace_split, words.escape, words.commenters = True, "", ""
    return words


def _lower(text: str) -> str:
    """As SQLite's lower() does it: ASCII alone."""
    return text.translate(_ASCII)


def _path(glob: str) -> Where:
    """The glob holds from the root, or from any folder on; a bare name means what is in it."""
    glob = _lower(glob).replace("\\", "/").strip("/")
    globs = [f"*/{glob}"] + ([] if re.search(r"[*?\[]", glob) else [f"*/{glob}/*"])
    sides = [f"{_PLACE.format('path')} GLOB ?", f"{_PLACE.format('shown')} GLOB ?"]
    return Where(f"({' OR '.join(sides * len(globs))})", tuple(g for g in globs for _ in sides))


def _name(glob: str) -> Where:
    """The file's own name; without wildcards, a part of it."""
    glob = _lower(glob) if re.search(r"[*?\[]", glob) else f"*{_lower(glob)}*"
    last = "replace(path, rtrim(path, replace(replace(path, '/', ''), '\\', '')), '')"
    return Where(f"lower({last}) GLOB ?", (glob,))


def _type(kind: str) -> Where:
    suffixes = suffixes_of(kind.lower())
    if not suffixes:
        raise UsageError(f"the filter knows no type {kind!r}", "Such as pdf, docx, jpg, picture.")
    some = " OR ".join(["lower(path) GLOB ?"] * len(suffixes))
    return Where(f"({some})", tuple(f"*{suffix}" for suffix in suffixes))


def _after(date: str) -> Where:
    return Where("mtime_ns >= ?", (_nanoseconds(date),))


def _before(date: str) -> Where:
    return Where("mtime_ns < ?", (_nanoseconds(date),))


_CONDITIONS: dict[str, Callable[[str], Where]] = {
    "path": _path,
    "name": _name,
    "type": _type,
    "after": _after,
    "before": _before,
}


def _nanoseconds(date: str) -> int:
    """The first moment of a year, month or day, in this machine's time zone."""
    found = _DATE.fullmatch(date)
    try:
        year, month, day = (int(part or 1) for part in found.groups()) if found else (0, 0, 0)
        moment = int(datetime(year, month, day).timestamp()) * 10**9
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{date!r} is no date", "Such as 2024, 2024-01 or 2024-01-31.") from error
    return max(-(2**63), min(2**63 - 1, moment))


def _any_of(found: list[Where], negated: bool) -> Where:
    either = Where(
        f"({' OR '.join(f.sql for f in found)})", tuple(v for f in found for v in f.values)
    )
    return Where(f"NOT {either.sql}", either.values) if negated else either


def _all_of(found: list[Where]) -> Where:
    sql = " AND ".join(f.sql for f in found) or "1"
    return Where(sql, tuple(v for f in found for v in f.values))
