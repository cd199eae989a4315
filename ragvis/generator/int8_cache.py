"""8-bit weights kept on disk, so that a checkpoint is quantized once.

A folder a checkpoint: shards in safetensors, and ``complete.json``, which names each with its
sha256. The folder appears whole or not at all; what does not have its hash is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForImageTextToText, GenerationConfig

from ragvis import config
from ragvis._files import flush, sha256_of_file, whole_folder
from ragvis._lazy import uncollected
from ragvis.generator import int8
from ragvis.types import Tell

if TYPE_CHECKING:
    from ragvis.generator.loading import Checkpoint

_LAYOUT = 1
_SHARD = 2**29  # bytes; several are hashed side by side
_WORTH_IT = 2**28  # bytes; less is quantized in no time
_WRITERS = 4  # each holds a shard in memory
_COMPLETE = "complete.json"
Tensors = dict[str, torch.Tensor]


class Int8Cache:
    """The 8-bit weights of one checkpoint, LoRA and all, for activations of one dtype."""

    def __init__(
        self, checkpoint: Checkpoint, dtype: torch.dtype, keep: Sequence[str], tell: Tell
    ) -> None:
        self._checkpoint = checkpoint
        self._dtype = dtype
        self._keep = keep
        self._tell = tell
        self._damaged = False
        self._root = config.cache_dir() / "int8"
        self._folder = self._root / self._key()

    def _key(self) -> str:
        """Of everything that the kept tensors were made of."""
        of = self._checkpoint
        ends = Path(of.where) / "generation_config.json"
        parts = [_LAYOUT, of.revision, self._dtype, sorted(self._keep), of.config.to_json_string()]
        parts.append(ends.read_text("utf-8") if ends.is_file() else "")
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def load(self, device: torch.device) -> nn.Module | None:
        """The model as it was saved, or None where it was not, or is not what was written."""
        if not (self._folder / _COMPLETE).is_file():
            return None
        try:
            about = json.loads((self._folder / _COMPLETE).read_text("utf-8"))
            tensors = self._read(about["sha256"], device)
            tensors |= {name: tensors[first] for name, first in about["same"].items()}
            generation = GenerationConfig.from_dict(about["generation"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            self._tell(f"the 8-bit weights in {self._folder} are damaged ({error}); made anew")
            self._damaged = True
            return None
        model = self._hollow()
        if _shapes(tensors) != _shapes(_all_tensors(model)):  # another transformers wrote them
            self._damaged = True
            return None
        _fill(model, tensors)
        model.generation_config = generation
        return model.eval()

    def _read(self, wanted: dict[str, str], device: torch.device) -> Tensors:
        files = [self._folder / name for name in wanted]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(sha256_of_file, files))
        if found != list(wanted.values()):
            raise ValueError("a file does not have its sha256")
        return {k: v for file in files for k, v in load_file(file, device=str(device)).items()}

    @uncollected()  # the model's own code is imported here
    def _hollow(self) -> nn.Module:
        """The model's modules, with no memory behind them."""
        with torch.device("meta"):
            whole = AutoModelForImageTextToText.from_config(
                self._checkpoint.config, dtype=self._dtype
            )
        return int8.quantize(whole, self._keep, "meta")

    def save(self, model: Any) -> None:
        """Keep the weights; where the disk refuses, that is said, and nothing else happens."""
        tensors = _all_tensors(model)
        first = {_place(tensor): name for name, tensor in reversed(tensors.items())}
        same = {n: first[_place(t)] for n, t in tensors.items() if first[_place(t)] != n}
        own = {name: tensor for name, tensor in tensors.items() if name not in same}
        size = sum(tensor.nbytes for tensor in own.values())
        if size < _WORTH_IT:
            return
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with FileLock(self._root / "lock"):
                if not (self._folder / _COMPLETE).is_file() or self._damaged:
                    self._keep_now(
                        own, {"same": same, "generation": model.generation_config.to_dict()}
                    )
        except (OSError, SafetensorError, NotImplementedError) as error:  # no locks on this disk
            self._tell(f"the 8-bit weights are not kept: {error}")

    def _keep_now(self, tensors: Tensors, about: dict[str, Any]) -> None:
        """With the lock held: nobody else is writing here."""
        of = self._checkpoint
        known = [os.path.abspath(n) if n and Path(n).is_dir() else n for n in (of.where, of.lora)]
        about |= {"of": [*known, str(self._dtype)]}
        self._forget(about["of"])
        size = sum(tensor.nbytes for tensor in tensors.values())
        if shutil.disk_usage(self._root).free < 1.5 * size:
            raise OSError(f"{size / 2**30:.1f} GiB would leave the disk full")
        self._tell(f"keeping the 8-bit weights ({size / 2**30:.1f} GiB) in {self._folder}")
        with whole_folder(self._folder) as part:
            about["sha256"] = _write(tensors, part)
            (part / _COMPLETE).write_text(json.dumps(about), "utf-8")
            flush(part / _COMPLETE)

    def _forget(self, of: list[str | None]) -> None:
        """What is kept of a checkpoint's earlier weights, and of folders that are gone; and what
        processes left that were killed."""
        for folder in self._root.glob("*/"):
            known = _of(folder / _COMPLETE)
            gone = [n for n in known if n and Path(n).is_absolute() and not Path(n).exists()]
            if known == of or gone or folder.suffix == ".part":
                shutil.rmtree(folder, ignore_errors=True)


def _write(tensors: Tensors, folder: Path) -> dict[str, str]:
    """Each shard's name and sha256; several are written side by side."""

    def write(number: int, shard: Tensors) -> tuple[str, str]:
        file = folder / f"{number:03}.safetensors"
        save_file({name: tensor.contiguous().cpu() for name, tensor in shard.items()}, file)
        flush(file)
        return file.name, sha256_of_file(file)

    with ThreadPoolExecutor(_WRITERS) as pool:
        shards = list(_shards(tensors))
        return dict(pool.map(write, range(len(shards)), shards))


def _of(file: Path) -> list[str | None]:
    """Checkpoint, LoRA and dtype that these weights are of."""
    try:
        where, lora, dtype = json.loads(file.read_text("utf-8"))["of"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [where, lora, dtype]


def _all_tensors(model: nn.Module) -> Tensors:
    """Weights and buffers, those that no checkpoint holds with them."""
    parameters = model.named_parameters(remove_duplicate=False)
    buffers = model.named_buffers(remove_duplicate=False)
    return {name: tensor.detach() for name, tensor in [*parameters, *buffers]}


def _place(tensor: torch.Tensor) -> tuple[int, tuple[int, ...]]:
    """Where it lies: tied weights have two names and one place."""
    return (tensor.data_ptr() or id(tensor), tuple(tensor.shape))


def _shards(tensors: Tensors) -> Iterator[Tensors]:
    shard: Tensors = {}
    size = 0
    for name, tensor in tensors.items():
        if shard and size + tensor.nbytes > _SHARD:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    yield shard


def _shapes(tensors: Tensors) -> dict[str, tuple[Any, ...]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _fill(model: nn.Module, tensors: Tensors) -> None:
    parameters = {
        id(t): nn.Parameter(t, requires_grad=False)
        for t in tensors.values()
        if t.is_floating_point()
    }
    for name, tensor in tensors.items():
        parent, _, own = name.rpartition(".")
        module = model.get_submodule(parent)
        if own in module._parameters:
            module._parameters[own] = parameters[id(tensor)]  # tied weights stay one
        else:
            module._buffers[own] = tensor
