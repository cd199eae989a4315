"""When a part of the vectors is searched on a GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ragvis.store import codes
from ragvis.store.vector_index import Part, best_of
from ragvis.types import Tell, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]

_MOST = 2048  # candidates that FAISS can sort on a GPU


class Copy(Protocol):
    """A part's living vectors on a GPU."""

    def near(self, queries: Vectors, k: int) -> Ids:
        """(q, k) places of the part, -1 where it has fewer.

        Raises:
            RuntimeError: there is no room.
        """
        ...


@dataclass(frozen=True, slots=True)
class When:
    """What makes a GPU worth it.

    Attributes:
        at_once: queries; fewer are asked of the part itself.
        after: so many of them the copy is made.
    """

    at_once: int
    after: int


# A copy of 20,000 to 100,000 vectors takes an H100 as long as a CPU takes for 10 to 130 queries.
FLAT = When(at_once=1, after=64)
# A single query of a million takes an inverted file a millisecond and a GPU, which compares all of
# them, four; 256 together take it 45, and the copy as long as two thousand gain.
INVERTED = When(at_once=64, after=2048)


class OnGpu:
    """A part whose living vectors a GPU compares, all of them.

    What it finds are candidates, compared exactly as those of an inverted file are: better ones
    than that file's, as all are compared; those of a flat part but for what half precision leaves
    out of a shortlist several times as long as what is wanted. The copy is made when it is worth
    it, for a single question never. A search among some items stays on the CPU, as does all where
    the GPU has no room.

    Args:
        copy: makes the copy. Raises RuntimeError where there is no room.
        when: it is worth it.
    """

    def __init__(
        self, part: Part, copy: Callable[[], Copy], when: When, tell: Tell = silent
    ) -> None:
        self._part = part
        self._make = copy
        self._tell = tell
        self._when = when
        self._asked = 0  # queries
        self._is_refused = False
        self._copy: Copy | None = None
        self._lock = threading.Lock()  # FAISS' GPU resources are for one thread at a time

    @property
    def ids(self) -> Ids:
        """See ``Part``."""
        return self._part.ids

    def __len__(self) -> int:
        return len(self._part)

    def search(self, queries: Vectors, k: int, among: Ids | None = None) -> tuple[Vectors, Ids]:
        """See ``Part``."""
        is_enough = len(queries) >= self._when.at_once
        if among is None and is_enough and codes.shortlist(k) <= _MOST:
            with self._lock:
                found = self._found(queries, codes.shortlist(k))
            if found is not None:
                return best_of(self._part, queries, found, k)
        return self._part.search(queries, k, among)

    def take(self, places: Ids) -> Vectors:
        """See ``Part``."""
        return self._part.take(places)

    def check(self) -> None:
        """See ``Part``."""
        self._part.check()

    def _found(self, queries: Vectors, wanted: int) -> Ids | None:
        """(q, wanted) places; None where the CPU has to look."""
        self._asked += len(queries)
        if self._is_refused or self._asked < self._when.after:
            return None
        try:
            self._copy = self._copy or self._make()
            return self._copy.near(queries, wanted)
        except RuntimeError as error:
            self._copy, self._is_refused = None, True
            reason = " ".join(str(error).split())[:200]
            self._tell(f"{len(self)} vectors are searched on the CPU, not on the GPU: {reason}")
            return None
