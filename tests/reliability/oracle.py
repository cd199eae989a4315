"""What an index says, read from its tables alone, and whether that is one of two states."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ragvis.index import Index
from ragvis.store import connection
from ragvis.store.catalog import CATALOG

State = dict[str, tuple[Any, ...]]  # path -> its hash and error, its items, their vectors

_FILES = "SELECT path, sha256, error, document_id FROM file"
_ITEMS = (
    "SELECT modality, ordinal, page, span_start, span_end, section, body, content, vector"
    " FROM item WHERE document_id = ? ORDER BY modality, ordinal"
)


def state(folder: Path) -> State:
    """What is committed; nothing where no index was made yet."""
    if not (folder / CATALOG).exists():
        return {}
    found: State = {}
    with closing(connection.open_to_read(folder / CATALOG)) as db:
        files: list[Any] = db.execute(_FILES).fetchall()
        for path, sha256, error, document in files:
            items: list[Any] = db.execute(_ITEMS, (document,)).fetchall()
            vectors = [np.frombuffer(row[-1], "<f2").astype(np.float32) for row in items]
            found[path] = (sha256, error, [row[:-1] for row in items], vectors)
    return found


def same(a: tuple[Any, ...] | None, b: tuple[Any, ...] | None) -> bool:
    """Equal, but for the last bits of vectors, which depend on what shares a batch."""
    if a is None or b is None:
        return a is b
    alike = all(x @ y > 0.9999 * (x @ x) for x, y in zip(a[3], b[3], strict=False))
    return a[:3] == b[:3] and len(a[3]) == len(b[3]) and alike


def require_between(found: State, before: State, after: State) -> None:
    """Every file is as it was before or as it is after; commits take files whole."""
    for path in found.keys() | before.keys() | after.keys():
        own = found.get(path)
        fits = same(own, before.get(path)) or same(own, after.get(path))
        assert fits, f"{path} is in neither state: {own and own[:3]}"


def require_equal(found: State, wanted: State) -> None:
    """Every file is as wanted, and there is no other."""
    require_between(found, wanted, wanted)


def require_sound(folder: Path) -> None:
    """Every checksum is right, and every item can be found by its own vector."""
    if not (folder / CATALOG).exists():
        return
    with Index.open(folder) as index:
        assert index.verify() == []
        with index.reading() as view:
            ids = {
                m: [i for piece, _ in index._catalog.vectors(m) for i in piece]
                for m in view.vectors
            }
            for modality, numbers in ids.items():
                assert len(view.vectors[modality]) == len(numbers)
                for number in numbers:
                    vector = view.vectors[modality].rows(np.array([number]))[0]
                    scores, _ = view.vectors[modality].search(vector[None], 1)
                    assert scores[0, 0] > 0.99, f"{modality} {number} does not find itself"
