"""Work that is not done twice: pictures already encoded, and the beginning of the last prompt.

Both give what a whole computation gives, up to rounding.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPooling

if TYPE_CHECKING:
    from ragvis.generator.choice import Rows

_MOST = 256 * 2**20  # bytes of picture features that are kept, in the machine's own memory


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture of a prompt as the language model sees it."""

    key: str  # sha256 of what the tower was given
    features: torch.Tensor  # (tokens, hidden)


class PictureFeatures:
    """Encodes the pictures of prompts, each once, the least recently used leaving first.

    ``shelf`` gives those back that were encoded before, (tokens, hidden) by key, or None.
    """

    def __init__(self, model: Any, most: int = _MOST) -> None:
        self._model = model
        self.shelf: Callable[[str], Rows | None] = lambda _: None
        self._most = most
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()  # on the CPU
        self._lock = threading.Lock()
        self.encoded = 0  # pictures that went through the tower so far

    def forget(self) -> None:
        """Drop what memory holds."""
        with self._lock:
            self._kept.clear()
            self.encoded = 0

    @torch.inference_mode()
    def of(self, inputs: Any) -> list[Pictured]:
        """The pictures of one prompt's inputs, in order."""
        pixels = inputs.get("pixel_values")
        if pixels is None:
            return []
        with self._lock:
            return [self._one(_single(inputs, i)) for i in range(len(pixels))]

    def _one(self, single: dict[str, Any]) -> Pictured:
        key = _key(single)
        found = self._kept.pop(key, None)
        if found is None:
            rows = self.shelf(key)
            found = self._encode(single) if rows is None else torch.tensor(rows)
        self._kept[key] = found
        while sum(map(_bytes, self._kept.values())) > self._most and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return Pictured(key, found)

    def _encode(self, single: dict[str, Any]) -> torch.Tensor:
        self.encoded += 1
        encoded = self._model.get_image_features(**single, return_dict=True)
        rows: torch.Tensor = encoded.pooler_output[0]  # (tokens, hidden)
        return rows.cpu()


def revision_of(weights: str, model: Any) -> str:
    """Under which a model's pictures are kept: in fp16 they are others than in fp32."""
    return f"{weights} {str(model.dtype).removeprefix('torch.')}"


def _single(inputs: Any, i: int) -> dict[str, Any]:
    """One picture's inputs; ``batch_num_images`` says whether it is one of several, which
    OneVision then shows whole, without tiles."""
    own = {k: inputs[k][i : i + 1] for k in ("pixel_values", "image_sizes") if k in inputs}
    return own | {k: inputs[k] for k in ("batch_num_images",) if k in inputs}


def _key(single: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(single.items()):
        told = value > 1 if name == "batch_num_images" else value
        digest.update(f"{name} {tuple(told.shape)}".encode())
        digest.update(told.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _bytes(rows: torch.Tensor) -> int:
    return rows.numel() * rows.element_size()


def as_outputs(pictures: Sequence[Pictured], device: torch.device) -> dict[str, Any]:
    """The argument that gives a model pictures already encoded; none where there are none."""
    if not pictures:
        return {}
    rows = [p.features.to(device) for p in pictures]
    return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=rows)}}


@dataclass(slots=True)
class Begun:
    """What a cache holds: the first tokens of a sequence, and the pictures among them."""

    ids: list[int] = field(default_factory=list)
    pictures: Sequence[Pictured] = ()

    def shared(self, ids: list[int], pictures: Sequence[Pictured], image_token: int) -> int:
        """Tokens at the beginning of a new prompt that are known already.

        At least one token is left to compute, and no picture is cut in two.
        """
        pairs = zip(self.ids, ids[:-1], strict=False)
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        for i, (start, end) in enumerate(spans_of(ids, pictures, image_token)):
            same = i < len(self.pictures) and self.pictures[i].key == pictures[i].key
            if start < known and not (same and end <= known):
                return start
        return known


def spans_of(
    ids: Sequence[int], pictures: Sequence[Pictured], image_token: int
) -> list[tuple[int, int]]:
    """Where each picture's tokens stand in a prompt, [start, end)."""
    places = (i for i, token in enumerate(ids) if token == image_token)
    spans = []
    for picture in pictures:
        own = list(islice(places, len(picture.features)))
        spans.append((own[0], own[-1] + 1))
    return spans


def from_position(
    position: int, ids: Sequence[int], pictures: Sequence[Pictured], image_token: int
) -> list[Pictured]:
    """The pictures that begin there or later."""
    spans = spans_of(ids, pictures, image_token)
    return [p for p, (start, _) in zip(pictures, spans, strict=True) if start >= position]


class LastPrompt:
    """The keys and values of the last prompt and its answer, to go on from.

    Only one is kept, and whoever takes it has it alone: two threads that generate at once cannot
    write into one cache.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Begun, DynamicCache]] = []  # none or one

    def take(
        self, ids: list[int], pictures: Sequence[Pictured], image_token: int
    ) -> tuple[DynamicCache | None, int]:
        """A cache that holds the beginning of a prompt, and how many tokens of it; or (None, 0)."""
        try:
            begun, cache = self._kept.pop()
        except IndexError:
            return None, 0
        known = begun.shared(ids, pictures, image_token)
        if known == 0 or not _can_be_cut(cache):
            return None, 0
        cache.crop(known - cache.get_seq_length())
        return cache, known

    def keep(self, cache: DynamicCache, ids: list[int], pictures: Sequence[Pictured]) -> None:
        """Keep a cache that has gone through the beginning of ``ids``."""
        self._kept[:] = [(Begun(ids[: cache.get_seq_length()], pictures), cache)]


def _can_be_cut(cache: DynamicCache) -> bool:
    """A layer with a sliding window that is full has forgotten what stood before it."""
    windows = [layer.sliding_window for layer in cache.layers if layer.is_sliding]
    return all(cache.get_seq_length() < window for window in windows)
