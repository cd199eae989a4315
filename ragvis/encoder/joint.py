"""A CLIP encoder with a sentence-transformers model beside it, as one encoder.

CLIP is a weak retriever of texts. The joint space is the direct sum of both spaces: a picture lies
in CLIP's part alone; a passage lies in both, mostly in the text model's; a text query in both
alike. So one inner product is CLIP's cosine between a query and a picture, the text model's
(with a little of CLIP's) between a query and a passage, and CLIP's between a photo and a passage.
"""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis._lazy import require
from ragvis.encoder import SEPARATOR
from ragvis.models import hub

if TYPE_CHECKING:
    from ragvis.encoder import Encoder, Pixels, Vectors
    from ragvis.media.images import Picture

_OF_CLIP = 0.3  # a passage's length in CLIP's part; it is 1 in all


class JointEncoder:
    """See ``Encoder``. Fit and batches are CLIP's."""

    def __init__(self, name: str, clip: Encoder, model: Any) -> None:
        self.name = name
        self._clip = clip
        self._model = model
        both = clip.fingerprint + _fingerprint(model)
        self.fingerprint = hashlib.sha256(both.encode()).hexdigest()
        self._texts = int(model.encode_document(["width"]).shape[1])
        self.dim = clip.dim + self._texts
        self.fit, self.batch, self.names = clip.fit, clip.batch, clip.names
        # A tokenizer keeps its padding as state: one thread at a time, and another for counting.
        self.lanes = 1
        self._encoding, self._counting = threading.Lock(), threading.Lock()
        self._counter = copy.deepcopy(model.tokenizer)
        limit = model.max_seq_length
        special = len(model.tokenizer("").input_ids)
        self.max_tokens = min(clip.max_tokens, int(limit) - special) if limit else clip.max_tokens

    @classmethod
    def load(cls, name: str, clip: Encoder, tell: Callable[[str], None]) -> JointEncoder:
        """Load the text model: a hub id or a folder.

        Args:
            name: both names, with `` + `` between them.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            ModelUnavailable, ModelError: it cannot be had, or cannot be loaded.
        """
        del tell
        _, _, own = name.partition(SEPARATOR)
        library = require("sentence_transformers")
        hub.obey_offline()
        with hub.explained("text encoder", own):
            return cls(name, clip, library.SentenceTransformer(own))

    @property
    def tower(self) -> Any:
        """CLIP's."""
        return self._clip.tower

    def enter_lane(self) -> None:
        """There is one lane alone, which has all cores."""

    def leave_lanes(self) -> None:
        """They were never shared out."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Passages: (n, dim) float32, unit rows."""
        own = self._encoded(self._model.encode_document, texts)
        return _joined(self._clip.encode_texts(texts), own, _OF_CLIP)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Queries, with the text model's own prompt for them: (n, dim) float32, unit rows."""
        own = self._encoded(self._model.encode_query, texts)
        return _joined(self._clip.encode_queries(texts), own, 0.5**0.5)

    def _encoded(self, encode: Callable[..., Any], texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self._texts), np.float32)
        how = {"batch_size": self.batch, "normalize_embeddings": True, "show_progress_bar": False}
        with self._encoding:
            rows: Vectors = encode(list(texts), **how)
        return rows.astype(np.float32)

    def encode_pictures(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, dim) float32, unit rows."""
        return self._widened(self._clip.encode_pictures(pictures))

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """See ``Encoder``."""
        return self._widened(self._clip.encode_pixels(pixels))

    def _widened(self, rows: Vectors) -> Vectors:
        return np.pad(rows, ((0, 0), (0, self._texts)))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Of the two counts the larger, so that a passage fits both."""
        if not texts:
            return []
        with self._counting:
            found = self._counter(list(texts), add_special_tokens=False, verbose=False)
        own = [len(ids) for ids in found.input_ids]
        return [max(pair) for pair in zip(own, self._clip.count_tokens(texts), strict=True)]


def _joined(of_clip: Vectors, own: Vectors, length: float) -> Vectors:
    """(n, dim) unit rows whose part in CLIP's space has a given length."""
    rest = (1.0 - length**2) ** 0.5
    return np.concatenate([of_clip * length, own * rest], axis=1).astype(np.float32)


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().float().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
