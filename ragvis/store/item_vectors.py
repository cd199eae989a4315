"""The vectors that the catalog keeps with its items, read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis.types import Modality

if TYPE_CHECKING:
    import apsw
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Stored = NDArray[np.float16]
    Ids = NDArray[np.int64]

_STORED = np.dtype("<f2")
_CHUNK = 4096  # vectors read at a time
_OF = "SELECT {} FROM item WHERE modality = ?"


def packed(vectors: Vectors) -> Iterator[bytes]:
    """Rows as they are stored. vectors: (n, dim) float32."""
    return (row.astype(_STORED).tobytes() for row in vectors)


def in_pieces(
    db: apsw.Connection, modality: Modality, first: int, last: int, dim: int
) -> Iterator[tuple[Ids, Stored]]:
    """Those of the items first..last: ids (n,) int64 ascending, (n, dim) fp16."""
    query = _OF.format("id, vector") + f" AND id BETWEEN ? AND ? ORDER BY id LIMIT {_CHUNK}"
    while rows := _all(db, query, (modality, first, last)):
        ids = np.array([r[0] for r in rows], np.int64)
        yield ids, np.frombuffer(b"".join(r[1] for r in rows), _STORED).reshape(len(rows), dim)
        first = int(ids[-1]) + 1


def sample(db: apsw.Connection, modality: Modality, n: int, dim: int) -> Vectors:
    """At most ``n`` from all over a modality: (m, dim) float32, unit rows."""
    ((low, high),) = _all(db, _OF.format("MIN(id), MAX(id)"), (modality,))
    near = _OF.format("id, vector") + " AND id >= ? ORDER BY id LIMIT 1"
    found: dict[int, bytes] = {}
    for place in np.linspace(low or 0, high or 0, n):
        found |= dict(_all(db, near, (modality, int(place))))
    return np.frombuffer(b"".join(found.values()), _STORED).reshape(-1, dim).astype(np.float32)


def known(db: apsw.Connection, contents: Iterable[str]) -> dict[str, Vectors]:
    """Those already stored for the same embedded content: key -> (dim,) float32."""
    query = "SELECT vector FROM item WHERE content = ? LIMIT 1"
    found = {c: row[0] for c in contents for row in _all(db, query, (c,))}
    return {c: np.frombuffer(v, _STORED).astype(np.float32) for c, v in found.items()}


def _all(db: apsw.Connection, query: str, values: tuple[Any, ...]) -> list[Any]:
    return db.execute(query, values).fetchall()
