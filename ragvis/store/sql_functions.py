"""The functions that the catalog's triggers call."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from ragvis.store import tokens
from ragvis.store.metadata import entries, searched
from ragvis.store.normalize import name_key, path_key

if TYPE_CHECKING:
    import apsw


_SHORT = 250  # characters; all items of a document have the same title, and some the same heading


def register(db: apsw.Connection) -> None:
    """Make them known to a connection, which can write to no catalog without them."""
    functions: tuple[Callable[..., str], ...] = (
        indexed,
        indexed_metadata,
        properties,
        path_key,
        name_key,
    )
    for function in functions:
        db.create_scalar_function(function.__name__, function, deterministic=True)


def indexed(text: str) -> str:
    """The words by which a text is found."""
    return tokens.indexed(text) if len(text) > _SHORT else _indexed(text)


@lru_cache(maxsize=256)
def _indexed(text: str) -> str:
    return tokens.indexed(text)


def indexed_metadata(metadata: str) -> str:
    """The words by which a document's own metadata, as JSON, are found."""
    return indexed(searched(json.loads(metadata))) if metadata != "{}" else ""


def properties(title: str, metadata: str) -> str:
    """What a document is filtered by, as JSON: a list of keys and values."""
    own = {"title": title} if title else {}
    return json.dumps(entries([*own.items(), *json.loads(metadata).items()]))
