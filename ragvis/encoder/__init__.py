"""CLIP models that put passages and pictures into one space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ragvis._lazy import uncollected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragvis.encoder.names import Names
    from ragvis.media.fit import Fit
    from ragvis.media.images import Picture

    Vectors = NDArray[np.float32]
    Pixels = NDArray[np.uint8]


SEPARATOR = " + "  # between the names of an encoder and of the text encoder beside it


class Encoder(Protocol):
    """What an index needs of an encoder.

    Attributes:
        name: as given to ``--encoder``.
        fingerprint: sha256 over the weights; two encoders with one fingerprint are the same.
        dim: width of the space.
        max_tokens: text tokens that fit beside the special ones.
        names: what it may call pictures; None where it has no words for them.
    """

    name: str
    fingerprint: str
    dim: int
    max_tokens: int
    names: Names | None

    @property
    def fit(self) -> Fit:
        """How it takes pictures."""

    @property
    def batch(self) -> int:
        """Texts or pictures that it takes at a time."""

    @property
    def lanes(self) -> int:
        """Threads that may use it side by side with profit."""

    @property
    def tower(self) -> Any:
        """The torch module that sees, open_clip's; None where there is none to share, or yet."""

    def enter_lane(self) -> None:
        """Called once by each of several threads that will use it side by side."""
        ...

    def leave_lanes(self) -> None:
        """Called once when they have ended."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, unit rows."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """What is asked, where the model tells it from what is found: (n, dim), as above."""
        ...

    def encode_pictures(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, dim) float32, unit rows."""
        ...

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """pixels: (n, height, width, 3) uint8, fitted -> (n, dim) float32, unit rows."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special ones and without any limit."""
        ...


def load(name: str, tell: Callable[[str], None]) -> Encoder:
    """Load an encoder: ``pocket``, an open_clip name (``ViT-L-14-336/openai``), an
    ``hf-hub:org/name`` id, or a folder with ``open_clip_config.json``; with `` + `` and a
    sentence-transformers model (an id or a folder) after it, both together.

    Raises:
        ModelUnavailable: its weights are not here and cannot be had.
        ModelError: they cannot be loaded.
    """
    if name == "pocket":
        from ragvis.encoder.pocket import PocketEncoder

        return PocketEncoder.load(tell)
    with uncollected():  # architectures are imported as they are made
        from ragvis.encoder.clip import ClipEncoder
        from ragvis.encoder.joint import JointEncoder

        clip, _, text = name.partition(SEPARATOR)
        loaded = ClipEncoder.load(clip, tell)
    return JointEncoder.load(name, loaded, tell) if text else loaded
