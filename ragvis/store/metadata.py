"""What a document says about itself, such as a front matter's keys: bounded, searched, filtered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ragvis.store.normalize import normalize

_MOST = 64  # keys
_LONGEST_KEY = 80  # characters
_LONGEST = 1000  # characters of a value that are kept
_SEARCHED = 500  # characters of all values that each of a document's items is found by
_CODES = {"language", "lang", "content-language"}  # "de" and "it" are words, too
_APART = re.compile(r"[,;\n]+")  # entries of a list
_AROUND = " \t[](){}\"'#,;"  # an entry: [a, "b"], #c


def bounded(metadata: Mapping[str, str]) -> dict[str, str]:
    """What is kept of a file's metadata: storable text, and not too much of it."""
    kept: dict[str, str] = {}
    for key, value in metadata.items():
        key, value = _storable(key)[:_LONGEST_KEY].strip(), _storable(value)[:_LONGEST].strip()
        if key and value and len(kept) < _MOST:
            kept.setdefault(key, value)
    return kept


def searched(metadata: Mapping[str, str]) -> str:
    """What is searched for words."""
    values = (value for key, value in metadata.items() if key_of(key) not in _CODES)
    return "\n".join(dict.fromkeys(values))[:_SEARCHED]


def entries(metadata: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keys and values to filter by, normalized, each once: a value whole, and what it lists."""
    found: dict[tuple[str, str], None] = {}
    for key, value in metadata:
        for entry in (value, *_APART.split(value)):
            found[key_of(key), value_of(entry)] = None
    return [(key, value) for key, value in found if key and value]


def key_of(key: str) -> str:
    """A key as it is compared: ``DC.Creator`` and ``dc creator`` are ``dc-creator``."""
    return "-".join(re.findall(r"[^\W_]+", normalize(key)))


def value_of(entry: str) -> str:
    """A value, or an entry of a list, as it is compared."""
    return " ".join(normalize(entry).split()).strip(_AROUND)


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode().replace("\0", " ")
