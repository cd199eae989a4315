"""Any open_clip model as an encoder."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from ragvis._lazy import require
from ragvis.encoder.names import Names
from ragvis.encoder.pocket_text import breakable
from ragvis.encoder.pocket_tower import PocketTower, fuse_batch_norms
from ragvis.errors import ModelError, ModelUnavailable
from ragvis.media.fit import Fit, Mode
from ragvis.media.images import fitted
from ragvis.models import hub, pocket

if TYPE_CHECKING:
    from ragvis.encoder import Pixels, Vectors
    from ragvis.media.images import Picture

_BATCH = {"cuda": 128, "cpu": 8}  # on a CPU, what more would need is mapped anew each time
# Whole batches side by side: on a CPU they do better than all cores on one, on a GPU one is copied
# there while the other is encoded.
_LANES = {"cuda": 2, "cpu": 4}


class ClipEncoder:
    """An open_clip model with its tokenizer and its own preprocessing.

    fp16 on CUDA, fp32 on the CPU. The fingerprint is taken of the fp32 weights, so one index
    serves both.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, names: Names | None = None) -> None:
        self.name, self.names = name, names
        self.fingerprint = _fingerprint(model)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._dtype = torch.float16 if self.device == "cuda" else torch.float32
        if isinstance(model.visual, PocketTower):
            fuse_batch_norms(model.eval().visual.net)
        self._model = model.to(self.device, self._dtype).eval()
        self.batch = _BATCH[self.device]
        self._cores = torch.get_num_threads()
        self.lanes = min(_LANES[self.device], self._cores)
        self.fit, self._mean, self._std = _preprocessing(model, self.device)
        self._tokenizer = tokenizer
        # A Hugging Face tokenizer keeps its padding as state; counting goes on beside encoding.
        self._tokenizing = threading.Lock()
        # Hugging Face text towers mask padding, so they need not be padded to full length
        masks = hasattr(getattr(model, "text", None), "pooler")
        self._padding = model.text.config.pad_token_id if masks else None
        context = int(getattr(tokenizer, "context_length", None) or model.context_length)
        self.max_tokens = context - 2  # one token opens the text, one ends it
        self.dim = int(self._encode_text_batch(["width"]).shape[1])

    @classmethod
    def load(cls, name: str, tell: Callable[[str], None]) -> ClipEncoder:
        """See ``ragvis.encoder.load``."""
        architecture, pretrained, text_cfg = _locate(name, tell)
        open_clip = require("open_clip")
        hub.obey_offline()
        with hub.explained("encoder", name):
            model, _, _ = open_clip.create_model_and_transforms(
                architecture, pretrained=pretrained, require_pretrained=True, **text_cfg
            )
            names = _widen(model, architecture)
            return cls(name, model, open_clip.get_tokenizer(architecture), names)

    @property
    def tower(self) -> Any:
        """The torch module that sees; of pocket's, the one that its answering model has too."""
        visual = self._model.visual
        return visual.vit if isinstance(visual, PocketTower) else visual

    def enter_lane(self) -> None:
        """Share the cores, or the GPU, with the other lanes' threads."""
        if self.device == "cuda":
            own: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            own.wait_stream(torch.cuda.default_stream())
            torch.cuda.set_stream(own)
        elif self.lanes > 1:
            torch.set_num_threads(max(1, self._cores // self.lanes))

    def leave_lanes(self) -> None:
        """The cores are one thread's again: PyTorch keeps the number for the whole process."""
        if self.device == "cpu":
            torch.set_num_threads(self._cores)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, unit rows. Longer texts than ``max_tokens`` are the caller's bug."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            out[rows] = self._encode_text_batch([texts[i] for i in rows])
        return out

    @torch.inference_mode()
    def _encode_text_batch(self, texts: list[str]) -> Vectors:
        with self._tokenizing:
            tokens = self._tokenizer([breakable(t) for t in texts])  # (n, context) int64
        if self._padding is not None:
            used = (tokens != self._padding).any(0).nonzero()  # "[PAD]" may stand in a text
            tokens = tokens[:, : int(used.max()) + 1]
        vectors = self._model.encode_text(tokens.to(self.device))
        return _unit_rows(vectors)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """The same: CLIP knows no difference."""
        return self.encode_texts(texts)

    def encode_pictures(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, dim) float32, unit rows."""
        fit = self.fit
        data = b"".join(fitted(picture, fit) for picture in pictures)
        return self.encode_pixels(
            np.frombuffer(data, np.uint8).reshape(-1, fit.height, fit.width, 3)
        )

    @torch.inference_mode()
    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """pixels: (n, height, width, 3) uint8, fitted -> (n, dim) float32, unit rows."""
        out = np.empty((len(pixels), self.dim), np.float32)
        for start in range(0, len(pixels), self.batch):
            batch = torch.tensor(pixels[start : start + self.batch], device=self.device)
            scaled = batch.permute(0, 3, 1, 2).float().div_(255)  # (b, 3, h, w)
            normal = scaled.sub_(self._mean).div_(self._std).to(self._dtype)
            out[start : start + len(batch)] = _unit_rows(self._model.encode_image(normal))
        return out

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special ones."""
        texts = [breakable(t) for t in texts]
        inner = getattr(self._tokenizer, "tokenizer", None)
        if inner is None:  # open_clip's own has no state
            return [len(self._tokenizer.encode(text)) for text in texts]
        if not texts:
            return []
        with self._tokenizing:  # not verbose: texts over the limit are what we are asking about
            found = inner(texts, add_special_tokens=False, verbose=False)
        return [len(ids) for ids in found.input_ids]


def _widen(model: Any, architecture: str) -> Names | None:
    """Give pocket's model the rest of its tower, where a local folder holds it; its names."""
    _, local, folder = architecture.partition("local-dir:")
    beside = Path(folder) / pocket.PHOTOGRAPHS
    if not local or not beside.is_file():
        return None
    model.visual = PocketTower.load(model.visual, beside)
    return Names.load(beside)


def _preprocessing(model: Any, device: str) -> tuple[Fit, torch.Tensor, torch.Tensor]:
    """What open_clip's own transform does: the geometry, then mean and deviation (3, 1, 1)."""
    about = model.visual.preprocess_cfg
    size = about["size"]
    height, width = (size, size) if isinstance(size, int) else size[-2:]
    mode: Mode = about.get("resize_mode") or "shortest"
    bicubic = about.get("interpolation") != "bilinear"
    if mode == "shortest" and height != width:
        bicubic = True  # open_clip passes no interpolation on there
    fit = Fit(width, height, mode, bicubic, int(about.get("fill_color") or 0))
    mean, std = (
        torch.tensor(about[name], dtype=torch.float32, device=device).view(-1, 1, 1)
        for name in ("mean", "std")
    )
    return fit, mean, std


def _unit_rows(vectors: torch.Tensor) -> Vectors:
    unit = F.normalize(vectors.float(), dim=-1)
    if unit.is_cuda:  # a copy would wait at full speed, on a core that a reader could use
        done: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record()
        done.synchronize()
    return unit.cpu().numpy()


def _fingerprint(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(memoryview(tensor.detach().contiguous().cpu().numpy()).cast("B"))
    return digest.hexdigest()


def _locate(
    name: str, tell: Callable[[str], None]
) -> tuple[str, str | None, dict[str, dict[str, Any]]]:
    """(architecture, pretrained tag, overrides) for open_clip's factory."""
    folder = pocket.ensure(tell).encoder if name == "pocket" else Path(name)
    if folder.is_dir():
        return f"local-dir:{folder}", None, _absolute_text_tower(folder)
    if name.startswith("hf-hub:"):
        return name, None, {}
    architecture, _, tag = name.partition("/")
    if not tag:
        known = require("open_clip").list_pretrained_tags_by_model(architecture)
        hint = f"Its weights are called: {', '.join(known)}." if known else "See `ragvis models`."
        raise ModelUnavailable(f"the encoder {name!r} names no weights or folder", hint)
    hub.refuse_plain_download(architecture, tag)
    return architecture, tag, {}


def _absolute_text_tower(folder: Path) -> dict[str, dict[str, Any]]:
    """open_clip reads a Hugging Face text tower's path from the working folder; ours is relative
    to the checkpoint, so that the checkpoint can be moved."""
    try:
        text = json.loads((folder / "open_clip_config.json").read_text("utf-8"))["model_cfg"][
            "text_cfg"
        ]
    except (OSError, ValueError, KeyError) as error:
        hint = "An encoder folder holds open_clip_config.json and open_clip_model.safetensors."
        raise ModelError(f"{folder} is not an open_clip checkpoint", hint) from error
    inside = text.get("hf_model_name")
    if not inside or not (folder / inside).is_dir():
        return {}
    place = {"hf_model_name": str((folder / inside).resolve()), "hf_model_pretrained": False}
    return {"text_cfg": {**text, **place}}
