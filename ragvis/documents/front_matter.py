"""Front matter: what stands before a Markdown file's text and says of it (YAML, TOML or JSON)."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import yaml

_LONGEST = 16 * 2**10  # characters; what is longer is text
_KEYS = 200
_DEPTH = 8
_VALUE = 2000  # characters
_OPENING = re.compile(r"(?:[ \t]*\r?\n)*(---|\+\+\+|\{)[ \t]*\r?\n")
_CLOSING = {
    "---": re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.MULTILINE),
    "+++": re.compile(r"^\+\+\+[ \t]*(?:\r?\n|\Z)", re.MULTILINE),
}
_LINE_END = re.compile(r"[ \t]*(?:\r?\n|\Z)")
# Lines of YAML or TOML that a parser refuses over one of them, such as "title: Pump: a manual".
_PAIR = re.compile(r"(\w[\w .-]{0,60}?)[ \t]*[:=](?:[ \t]+(.*))?$")
_OTHER = re.compile(r"[ \t]|#|- |$")  # of a value's lines, comments and blank lines
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_EMPTY = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What a file says of itself, and the offset at which its text begins.

    Attributes:
        values: in lower-case keys, those of nested mappings joined by a dot; lists are joined by
            commas, and dates are in ISO 8601.
    """

    end: int
    values: Mapping[str, str]


def front_matter(text: str) -> FrontMatter | None:
    """The front matter at the beginning of a text, or None: a rule or prose is none."""
    opening = _OPENING.match(text)
    if opening is None:
        return None
    if opening[1] == "{":
        return _json(text, opening.start(1))
    mark, start = opening[1], opening.end()
    closing = _CLOSING[mark].search(text, start, start + _LONGEST)
    if closing is None:
        return None
    inside = text[start : closing.start()]
    values = _yaml(inside) if mark == "---" else _toml(inside)
    return None if values is None else FrontMatter(closing.end(), _flat(values))


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # yaml has no types
    """Makes strings, lists and mappings alone, and refuses aliases: a few can mean gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def _yaml(text: str) -> dict[str, Any] | None:
    loader = None
    try:
        loader = _Loader(text)
        values = loader.get_single_data()
    except (yaml.YAMLError, RecursionError):
        return _pairs(text)
    finally:
        if loader is not None:
            loader.dispose()
    if values is None:
        return {}  # comments alone
    return values if isinstance(values, dict) else None


def _toml(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError):
        return _pairs(text)


def _json(text: str, start: int) -> FrontMatter | None:
    try:
        values, end = json.JSONDecoder().raw_decode(text[: start + _LONGEST], start)
    except (ValueError, RecursionError):
        return None
    line_end = _LINE_END.match(text, end)
    return FrontMatter(line_end.end(), _flat(values)) if line_end else None


def _pairs(text: str) -> dict[str, str] | None:
    """The keys at the margin with their values, if there is nothing but such lines."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        pair = _PAIR.match(line)
        if pair:
            values[pair[1]] = (pair[2] or "").strip().strip("\"'")
        elif not _OTHER.match(line):
            return None
    return values or None


def _flat(values: Mapping[Any, Any]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    _collect(values, "", found, _DEPTH)
    return {key: ", ".join(texts)[:_VALUE] for key, texts in found.items()}


def _collect(value: Any, key: str, found: dict[str, list[str]], depth: int) -> None:
    if isinstance(value, dict) and depth:
        for name, inner in value.items():
            path = f"{key}.{name}" if key else str(name)
            _collect(inner, path.strip().lower(), found, depth - 1)
    elif isinstance(value, list) and depth:
        for inner in value:
            _collect(inner, key, found, depth - 1)
    elif not isinstance(value, dict | list) and (key in found or len(found) < _KEYS):
        text = _said(value)
        if text not in _EMPTY and sum(map(len, found.get(key, ()))) < _VALUE:
            found.setdefault(key, []).append(text)


def _said(value: Any) -> str:
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else " ".join(str(value).split())
    if _DATE.match(text) and len(text) > len("2024-05-04"):
        try:
            return datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-")).isoformat()
        except ValueError:
            return text
    return text
