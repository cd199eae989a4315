"""Full batches for the encoder, whatever mix of passages and pictures comes in.

The encoder runs in threads of its own, so that the next batch is put together meanwhile.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.encoder import Encoder
    from ragvis.media.fit import Fit
    from ragvis.store.catalog import Catalog

    Vector = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

_TEXTS = 8  # batches of passages that are sorted by length together, so that few are padded


class Batches:
    """Takes what is to be embedded under a key; ``vector`` is there after ``flush`` at the latest.

    What the catalog or this run embedded before is not embedded again.
    """

    def __init__(self, encoder: Callable[[], Encoder], catalog: Catalog, fit: Fit) -> None:
        self._encoder = encoder
        self._catalog = catalog
        self._fit = fit
        self._texts: dict[str, str] = {}
        self._pictures: list[str] = []  # the keys of the rows of ``_pixels``
        self._pixels = _no_pixels(fit, 0)
        self._free: list[Pixels] = []  # to be filled again: new memory is slow to touch
        self._flying: deque[tuple[list[str], Future[Any], Pixels | None]] = deque()
        self._vectors: dict[str, Vector] = {}
        self._under_way: set[str] = set()  # keys that wait or fly
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Let go of the encoder."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._encoder().leave_lanes()

    def add_text(self, text: str) -> str:
        """The content key of a passage as it is embedded."""
        key = hashlib.sha256(b"text:" + text.encode()).hexdigest()
        if self._is_new(key):
            self._texts[key] = text
            if len(self._texts) >= _TEXTS * self._encoder().batch:
                self._launch_texts()
        return key

    def add_picture(self, key: str, pixels: bytes | bytearray) -> str:
        """The content key of a fitted picture, which is the sha256 of its pixels."""
        if self._is_new(key):
            if not self._pictures:
                size = self._encoder().batch
                self._pixels = self._free.pop() if self._free else _no_pixels(self._fit, size)
            row = self._pixels[len(self._pictures)]
            row[:] = np.frombuffer(pixels, np.uint8).reshape(row.shape)
            self._pictures.append(key)
            if len(self._pictures) == len(self._pixels):
                self._launch_pictures()
        return key

    def flush(self) -> None:
        """Embed whatever waits."""
        self._launch_texts()
        self._launch_pictures()
        while self._flying:
            self._land()

    def landed(self) -> bool:
        """Take in what the encoder has finished; whether there was any."""
        before = len(self._vectors)
        while self._flying and self._flying[0][1].done():
            self._land()
        return len(self._vectors) > before

    def has(self, keys: Iterable[str]) -> bool:
        """Whether all these vectors are there."""
        return all(key in self._vectors for key in keys)

    def vector(self, key: str) -> Vector:
        """(dim,) float32, unit length."""
        return self._vectors[key]

    def keep_only(self, keys: set[str]) -> None:
        """Drop the vectors that nothing waits for any more."""
        self._vectors = {k: v for k, v in self._vectors.items() if k in keys}

    def _is_new(self, key: str) -> bool:
        if key in self._vectors or key in self._under_way:
            return False
        self._under_way.add(key)
        return True

    def _launch_texts(self) -> None:
        texts = self._without_known(list(self._texts))
        if texts:
            rows = [self._texts[key] for key in texts]
            self._launch(texts, self._encoder().encode_texts, rows)
        self._texts.clear()

    def _launch_pictures(self) -> None:
        keys, pixels = self._pictures, self._pixels
        if not keys:
            return
        self._pictures = []
        new = self._without_known(keys)
        rows = pixels[: len(keys)] if new == keys else pixels[[keys.index(key) for key in new]]
        if new:
            self._launch(new, self._encoder().encode_pixels, rows, pixels)
        else:
            self._free.append(pixels)

    def _without_known(self, keys: list[str]) -> list[str]:
        """Those that the catalog has no vector for."""
        known = self._catalog.known_vectors(keys)
        self._vectors |= known
        self._under_way.difference_update(known)
        return [key for key in keys if key not in known]

    def _launch(
        self,
        keys: list[str],
        encode: Callable[[Any], Any],
        batch: Any,
        lent: Pixels | None = None,
    ) -> None:
        encoder = self._encoder()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(encoder.lanes, "encoder", encoder.enter_lane)
        while len(self._flying) > encoder.lanes:
            self._land()
        self._flying.append((keys, self._threads.submit(encode, batch), lent))

    def _land(self) -> None:
        keys, future, lent = self._flying.popleft()
        self._vectors |= zip(keys, future.result(), strict=True)
        self._under_way.difference_update(keys)
        if lent is not None:
            self._free.append(lent)


def _no_pixels(fit: Fit, count: int) -> Pixels:
    return np.empty((count, fit.height, fit.width, 3), np.uint8)
