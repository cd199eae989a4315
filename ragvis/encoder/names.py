"""What pictures may be called, in the space where they lie beside texts.

Zero-shot naming, as CLIP does it, with a "don't know": the nearest name holds only where it is
near, and clearly nearer than names of other things.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open

if TYPE_CHECKING:
    from ragvis.encoder import Vectors

KEY = "names"  # of the vectors in the file, and of the JSON list in its metadata
_OTHER = 0.6  # cosine of two names below which they are of different things
# A name's cosine, and by how much that is above the next other thing's, together. Set on new
# pictures of known things (of those it names, 77 % are near the caption), not on photographs.
SURE = 0.67


class Names:
    """A vocabulary with its vectors: (m, dim) float32, unit rows."""

    def __init__(self, names: Sequence[str], vectors: Vectors) -> None:
        if len(names) != len(vectors):
            raise ValueError(f"{len(names)} names for {len(vectors)} vectors")
        self.names = tuple(names)
        self._vectors = vectors

    @classmethod
    def load(cls, file: Path) -> Names:
        """Out of a safetensors file that holds both.

        Raises:
            KeyError, ValueError, SafetensorError: it does not, or not as many of each.
        """
        with safe_open(file, "np") as opened:
            names = json.loads((opened.metadata() or {})[KEY])
            return cls(names, opened.get_tensor(KEY).astype(np.float32))

    def of(self, rows: Vectors) -> list[str]:
        """The name of each of some pictures' vectors, "" where it is not sure: rows (n, dim)."""
        return [name if sure >= SURE else "" for name, sure in self.nearest(rows)]

    def nearest(self, rows: Vectors) -> list[tuple[str, float]]:
        """The nearest name to each vector (n, dim), and how sure that is; see ``SURE``.

        Wider vectors than the names' are of a joint space, which begins with theirs.
        """
        within = np.ascontiguousarray(rows[:, : self._vectors.shape[1]])
        cosines = _products(within, self._vectors)  # (n, m)
        best = cosines.argmax(1)
        own = cosines[np.arange(len(rows)), best]
        alike = _products(self._vectors[best], self._vectors) >= _OTHER  # (n, m)
        margin = own - np.where(alike, -np.inf, cosines).max(1)
        found = zip(best.tolist(), (own + margin.clip(max=1.0)).tolist(), strict=True)
        return [(self.names[i], sure) for i, sure in found]


def _products(some: Vectors, others: Vectors) -> Vectors:
    """(n, d), (m, d) -> (n, m). In PyTorch's threads where there are any: NumPy's own, beside
    them, would make a search twice as long."""
    if "torch" not in sys.modules:
        return some @ others.T
    import torch

    found: Vectors = (torch.from_numpy(some) @ torch.from_numpy(others).T).numpy()
    return found
