"""The catalog's rows as values."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ragvis.types import Box, Modality


@dataclass(frozen=True, slots=True)
class FileRow:
    """One path as it was when its file was last read."""

    path: str
    shown: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    label: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """What was read out of some bytes, however many files hold them."""

    content: str  # sha256 of the bytes and how they were read: see ``content_key``
    title: str  # its own, or "" where only a file's name tells
    problems: dict[str, str] = field(default_factory=dict)  # part that could not be read -> why
    metadata: dict[str, str] = field(default_factory=dict)  # what it says about itself


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One retrievable unit. ``id`` is 0 until it is stored, and the last four are set by then."""

    modality: Modality
    ordinal: int
    content: str
    page: int | None = None
    span: tuple[int, int] | None = None
    bbox: Box | None = None
    section: str = ""
    body: str = ""
    near: str = ""  # what is around a picture or seen in it; searched, and not read back
    id: int = 0
    title: str = ""
    files: tuple[FileRow, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)  # its document's


class Body(NamedTuple):
    """What an item says: a passage, or a picture's caption with what stands around it.

    Attributes:
        siblings: how many such items its document has near it, itself included.
    """

    text: str
    siblings: int


@dataclass(frozen=True, slots=True)
class Where:
    """A condition over the table ``file`` with its values: SQL that ragvis wrote itself."""

    sql: str
    values: tuple[str | int, ...] = ()


EVERY = Where("1")  # file

FILE_COLUMNS = "path, shown, size, mtime_ns, inode, sha256, label, error"
ITEM_COLUMNS = (
    "id, modality, ordinal, content, page, span_start, span_end, bbox, section, body, title,"
    " (SELECT metadata FROM document WHERE document.id = document_id), document_id"
)


_NEAR = 3  # items before and after one in its document, which have the ids around its own
PASSAGES = """
SELECT document_id, page, body FROM item WHERE modality = 'text' ORDER BY document_id, ordinal
"""
BODIES = f"""
SELECT id, trim(body || char(10) || near, char(10)), (
    SELECT COUNT(*) FROM item AS other
    WHERE other.id BETWEEN item.id - {_NEAR} AND item.id + {_NEAR}
    AND other.document_id = item.document_id AND other.modality = item.modality
) FROM item WHERE id IN ({{}})
"""


def content_key(sha256: str, kind: str) -> str:
    """The same bytes are another document when they are read as another kind."""
    return f"{sha256}:{kind}"


def place_of(item: ItemRow) -> tuple[Any, ...]:
    """An item's columns from ``modality`` to ``body``, in the table's order."""
    start, end = item.span or (None, None)
    box = json.dumps(item.bbox) if item.bbox else None
    place = (item.modality, item.ordinal, item.page, start, end, box)
    return (*place, item.section, item.body)


def item_of(row: tuple[Any, ...], files: tuple[FileRow, ...]) -> ItemRow:
    """An item out of its ``ITEM_COLUMNS``."""
    id_, modality, ordinal, content, page, start, end, box, section, body, title, about, _ = row
    span = None if start is None else (start, end)
    place = (page, span, tuple(json.loads(box)) if box else None)
    named = {"id": id_, "title": title, "files": files, "metadata": json.loads(about)}
    return ItemRow(modality, ordinal, content, *place, section, body, **named)


def name_words(paths: list[str]) -> str:
    """The files' names and their folders', so that pictures can be found by them."""
    parts = [os.path.split(os.path.splitext(path)[0]) for path in paths]
    names = (f"{os.path.basename(folder)} {stem}" for folder, stem in parts)
    return " ".join(dict.fromkeys(part for name in names for part in name.split()))
