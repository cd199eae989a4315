"""Pocket's encoder, of which a question in words loads no more than it needs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis._files import replace
from ragvis._lazy import uncollected
from ragvis.encoder.names import Names
from ragvis.encoder.pocket_text import PocketText
from ragvis.errors import ModelError
from ragvis.models import hub, pocket
from ragvis.types import Tell

if TYPE_CHECKING:
    from ragvis.encoder import Encoder, Pixels, Vectors
    from ragvis.media.fit import Fit
    from ragvis.media.images import Picture

NAME = "pocket"
_FEW = 16  # texts; more are worth the time that PyTorch takes to load
_FINGERPRINT = "fingerprint"  # a file beside the weights, written when all of them are loaded


class PocketEncoder:
    """See ``Encoder``. A few questions are encoded without PyTorch, until a picture or a passage
    has it loaded."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.name = NAME
        self.fingerprint = ""
        self._file = folder / _FINGERPRINT
        self._tell = tell
        self._guard = threading.Lock()
        self._loaded: Encoder | None = None
        text = PocketText(folder)
        self._text: PocketText | None = text  # until the whole is loaded, which has it too
        self.dim, self.max_tokens = text.dim, text.max_tokens
        self.names: Names | None = Names.load(folder / pocket.PHOTOGRAPHS)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self._file.stat().st_mtime_ns >= _changed(folder):
                self.fingerprint = self._file.read_text("ascii")
        if not self.fingerprint:
            _ = self._whole

    @classmethod
    def load(cls, tell: Tell) -> PocketEncoder:
        """See ``ragvis.encoder.load``."""
        folder = pocket.ensure(tell).encoder
        with hub.translated("encoder", NAME):
            return cls(folder, tell)

    @property
    def _whole(self) -> Encoder:
        """Raises:
        ModelError: its weights are not those that were remembered.
        """
        with self._guard:
            if self._loaded is None:
                with uncollected():  # architectures are imported as they are made
                    from ragvis.encoder.clip import ClipEncoder

                    loaded = ClipEncoder.load(NAME, self._tell)
                self._remember(loaded.fingerprint)
                self._loaded, self._text, self.names = loaded, None, loaded.names
            return self._loaded

    def _remember(self, fingerprint: str) -> None:
        if fingerprint == self.fingerprint:
            return
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
        if self.fingerprint:  # indexes were compared with that one
            raise ModelError("pocket's weights are not what they were", "Start again.")
        self.fingerprint = fingerprint
        with contextlib.suppress(OSError):  # a cache that is read-only: it is taken each time
            part = self._file.with_suffix(".part")
            part.write_text(fingerprint, "ascii")
            replace(part, self._file)

    @property
    def fit(self) -> Fit:
        """See ``Encoder``."""
        return self._whole.fit

    @property
    def batch(self) -> int:
        """See ``Encoder``."""
        return self._whole.batch

    @property
    def lanes(self) -> int:
        """See ``Encoder``."""
        return self._whole.lanes

    @property
    def tower(self) -> Any:
        """The torch module that sees, which the answering model has too; None while it is not
        loaded."""
        return None if self._loaded is None else self._loaded.tower

    def enter_lane(self) -> None:
        """See ``Encoder``."""
        self._whole.enter_lane()

    def leave_lanes(self) -> None:
        """See ``Encoder``."""
        self._whole.leave_lanes()

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, unit rows."""
        return self._whole.encode_texts(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """The same, of questions."""
        text = self._text
        if text is not None and len(texts) <= _FEW:
            return text.encode(texts)
        return self._whole.encode_queries(texts)

    def encode_pictures(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, dim) float32, unit rows."""
        return self._whole.encode_pictures(pictures)

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """See ``Encoder``."""
        return self._whole.encode_pixels(pixels)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See ``Encoder``."""
        return (self._text or self._whole).count_tokens(texts)


def _changed(folder: Path) -> int:
    """When the weights were written last, in nanoseconds.

    Raises:
        OSError: they are not there.
    """
    return max(file.stat().st_mtime_ns for file in folder.glob("*.safetensors"))
