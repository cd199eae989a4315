"""What pictures may be called, in the space where they lie beside texts.

Zero-shot naming, as CLIP does it, with a "don't know": the nearest name holds only where it is
near, and clearly nearer than names of other things.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open

if TYPE_CHECKING:
    from ragvis.encoder import Vectors

KEY = "names"  # of the vectors in the file, and of the JSON list in its metadata
_OTHER = 0.6  # cosine of two names below which they are of different things
# A name's cosine, and by how much that is above the next other thing's, together. Set on pictures
# of known things in known styles: `python -m scripts.pocket measure` measures it.
SURE = 0.67


class Names:
    """A vocabulary with its vectors: (m, dim) float32, unit rows."""

    def __init__(self, names: Sequence[str], vectors: Vectors) -> None:
        self.names = tuple(names)
        self._vectors = vectors

    @classmethod
    def load(cls, file: Path) -> Names:
        """Out of a safetensors file that holds both.

        Raises:
            KeyError, ValueError, SafetensorError: it does not.
        """
        with safe_open(file, "np") as opened:
            names = json.loads((opened.metadata() or {})[KEY])
            return cls(names, opened.get_tensor(KEY).astype(np.float32))

    def of(self, rows: Vectors) -> list[str]:
        """The name of each of some pictures' vectors, "" where it is not sure: rows (n, dim)."""
        found = (self.judged(row) for row in rows)
        return [name if sure >= SURE else "" for name, sure in found]

    def judged(self, row: Vectors) -> tuple[str, float]:
        """The nearest name to a vector (dim,), and how sure that is; see ``SURE``.

        A wider vector than the names' is of a joint space, which begins with theirs.
        """
        cosines = self._vectors @ row[: self._vectors.shape[1]]
        best = int(cosines.argmax())
        others = cosines[self._vectors @ self._vectors[best] < _OTHER]
        margin = cosines[best] - others.max() if len(others) else 1.0
        return self.names[best], float(cosines[best] + margin)
