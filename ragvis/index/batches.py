"""Full batches for the encoder, whatever mix of passages and pictures comes in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ragvis.media.images import pixel_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragvis.encoder import Encoder
    from ragvis.media.images import Picture
    from ragvis.store.catalog import Catalog

    Vector = NDArray[np.float32]

_TEXTS = 256  # passages waiting for the encoder, at most
_PICTURES = 32  # decoded pictures waiting for the encoder, at most
_PIXELS = 64_000_000  # and their pixels together, three bytes each


class Batches:
    """Hands out a key for everything to be embedded; ``vector`` is there after ``flush``.

    What the catalog or this run embedded before is not embedded again.
    """

    def __init__(self, encoder: Encoder, catalog: Catalog) -> None:
        self._encoder = encoder
        self._catalog = catalog
        self._texts: dict[str, str] = {}
        self._pictures: dict[str, Picture] = {}
        self._vectors: dict[str, Vector] = {}

    def add_text(self, text: str) -> str:
        """The content key of a passage as it is embedded."""
        key = hashlib.sha256(b"text:" + text.encode()).hexdigest()
        if self._is_new(key):
            self._texts[key] = text
            if len(self._texts) >= _TEXTS:
                self._embed_texts()
        return key

    def add_picture(self, picture: Picture) -> str:
        """The content key of a picture."""
        key = hashlib.sha256(pixel_key(picture)).hexdigest()
        if self._is_new(key):
            self._pictures[key] = picture
            pixels = sum(p.width * p.height for p in self._pictures.values())
            if len(self._pictures) >= _PICTURES or pixels >= _PIXELS:
                self._embed_pictures()
        return key

    def flush(self) -> None:
        """Embed whatever waits."""
        self._embed_texts()
        self._embed_pictures()

    def vector(self, key: str) -> Vector:
        """(dim,) float32, unit length."""
        return self._vectors[key]

    def forget(self) -> None:
        """Drop the vectors of what has been committed."""
        self._vectors.clear()

    def _is_new(self, key: str) -> bool:
        if key in self._vectors or key in self._texts or key in self._pictures:
            return False
        known = self._catalog.known_vectors([key])
        self._vectors |= known
        return not known

    def _embed_texts(self) -> None:
        vectors = self._encoder.encode_texts(list(self._texts.values()))
        self._vectors |= zip(self._texts, vectors, strict=True)
        self._texts.clear()

    def _embed_pictures(self) -> None:
        vectors = self._encoder.encode_pictures(list(self._pictures.values()))
        self._vectors |= zip(self._pictures, vectors, strict=True)
        self._pictures.clear()
