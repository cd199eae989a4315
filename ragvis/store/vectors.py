"""The one module that knows FAISS: exact inner-product search over one modality."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis._lazy import require
from ragvis.errors import IndexDamaged
from ragvis.store.trouble import told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]


def library() -> str:
    """FAISS' version and what it runs on.

    Raises:
        MissingExtra: it is not installed.
    """
    faiss = require("faiss")
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return f"{faiss.__version__}, {gpus} GPUs" if gpus else f"{faiss.__version__}, CPU build"


class VectorIndex:
    """Unit vectors under their item ids; scores are cosines."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @classmethod
    def build(cls, ids: Ids, vectors: Vectors) -> VectorIndex:
        """ids: (n,) int64; vectors: (n, dim) float32, unit rows."""
        faiss = require("faiss")
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        if len(ids):
            index.add_with_ids(np.ascontiguousarray(vectors), ids)
        return cls(index)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        """queries (q, dim) float32 -> cosines (q, k') descending, ids (q, k'); k' = min(k, n)."""
        k = min(k, len(self))
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, ids = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        return scores, ids

    def vector(self, item: int) -> Vectors:
        """The stored vector of one item: (dim,) float32."""
        row: Vectors = self._index.reconstruct(int(item))
        return row

    def save(self, file: Path) -> str:
        """Write beside, fsync, rename; returns the sha256 of the bytes."""
        data = require("faiss").serialize_index(self._index).tobytes()
        part = file.with_suffix(".part")
        with told(file):
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, file)
        return hashlib.sha256(data).hexdigest()

    @classmethod
    def load(cls, file: Path, sha256: str) -> VectorIndex:
        """Raises:
        IndexDamaged: the file is not there or not the one that was saved. FAISS reads damaged
            files without a word, and hostile ones are a memory-safety hole: it never sees them.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise IndexDamaged(f"{file} cannot be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise IndexDamaged(f"{file} does not have its checksum")
        return cls(require("faiss").deserialize_index(np.frombuffer(data, np.uint8)))
