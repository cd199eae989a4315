"""A modality's vectors as one, whatever segments hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ragvis.errors import IndexDamaged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]


class Part(Protocol):
    """Some of a modality's vectors. Scores are cosines; ids are -1 where there are fewer than k."""

    @property
    def ids(self) -> Ids:
        """(n,), ascending, of the dead too; places count in them."""
        ...

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int, among: Ids | None = None) -> tuple[Vectors, Ids]:
        """queries (q, dim) float32 -> scores (q, k) descending, ids (q, k); of the items
        ``among`` (ascending) alone, if given."""
        ...

    def take(self, places: Ids) -> Vectors:
        """The exact vectors of some places: (n, dim) float32."""
        ...

    def check(self) -> None:
        """Read all of its files.

        Raises:
            IndexDamaged: one of them is not what was written.
        """
        ...


class VectorIndex:
    """Unit vectors of one modality under their item ids; scores are cosines.

    Args:
        parts: the modality's vectors, each in one of them.
        mend: what to put in the place of a part that turns out to be damaged.
    """

    def __init__(self, parts: Sequence[Part], mend: Callable[[int, IndexDamaged], Part]) -> None:
        self._parts = list(parts)
        self._mend = mend

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def search(self, queries: Vectors, k: int, among: Ids | None = None) -> tuple[Vectors, Ids]:
        """The vectors with the highest inner products.

        Args:
            queries: (q, dim) float32.
            k: most to return.
            among: ids (n,) int64, ascending, of the items that may be returned; None: all.

        Returns:
            products (q, k') descending, ids (q, k'); k' = min(k, n). An id is -1 where there are
            fewer, or an approximate search came back with fewer.
        """
        k = min(k, len(self) if among is None else len(among))
        queries = np.ascontiguousarray(queries, np.float32)
        held = [i for i, part in enumerate(self._parts) if k and len(part)]
        found = [self._of(i, lambda part: part.search(queries, k, among)) for i in held]
        if not found:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores = np.concatenate([s for s, _ in found], axis=1)  # (q, parts * k)
        ids = np.concatenate([i for _, i in found], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)

    def rows(self, ids: Ids) -> Vectors:
        """The stored vectors of items: (n, dim) float32.

        Raises:
            KeyError: one of them is not here.
        """
        found: dict[int, Vectors] = {}
        for i in range(len(self._parts)):
            found |= self._of(i, lambda part: _held(part, ids))
        return np.array([found[int(item)] for item in ids], np.float32)

    def _of(self, i: int, ask: Callable[[Part], Any]) -> Any:
        try:
            return ask(self._parts[i])
        except IndexDamaged as damage:
            self._parts[i] = self._mend(i, damage)
            return ask(self._parts[i])


def _held(part: Part, ids: Ids) -> dict[int, Vectors]:
    """The vectors of those items that a part holds."""
    places = places_of(part.ids, ids)
    here = places >= 0
    return dict(zip(ids[here].tolist(), part.take(places[here]), strict=True)) if here.any() else {}


def places_of(held: Ids, wanted: Ids) -> Ids:
    """Where each wanted id stands among the held, which are ascending; -1: nowhere."""
    if not len(held):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return np.where(held[at] == wanted, at, -1)


def best_of(part: Part, queries: Vectors, found: Ids, k: int) -> tuple[Vectors, Ids]:
    """The k best of candidates (q, m), places or -1, by their exact cosines; as ``Part.search``.

    Raises:
        IndexDamaged: one of their vectors is not what was written.
    """
    scores = np.full((len(queries), k), -np.inf, np.float32)
    ids = np.full((len(queries), k), -1, np.int64)
    for i, some in enumerate(found):
        places = some[some >= 0]
        exact = part.take(places) @ queries[i]  # (m,)
        best = np.argsort(-exact, kind="stable")[:k]
        scores[i, : len(best)] = exact[best]
        ids[i, : len(best)] = part.ids[places[best]]
    return scores, ids
