"""Names of models and encoders, and whether their weights are on this machine."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ragvis import config
from ragvis._lazy import require
from ragvis.errors import ModelUnavailable, UsageError
from ragvis.models import hub, pocket
from ragvis.types import Advice, Tell

POCKET = "pocket"
DEFAULT_GPU_ENCODER = "ViT-L-14-336/openai"
DEFAULT_GPU_MODEL = "llava-1.5-7b"
GPU_ROOM = 10 * 2**30  # bytes of free GPU memory that the 7B model in 8-bit wants


@dataclass(frozen=True, slots=True)
class Known:
    """A model that ragvis has a short name for."""

    name: str
    kind: Literal["model", "encoder"]
    where: str  # repository on the model hub, or "pocket"
    about: str


KNOWN = (
    Known(POCKET, "model", POCKET, "150 M parameters, answers on any CPU; ships with ragvis"),
    Known(POCKET, "encoder", POCKET, "our tower, EfficientNet-Lite0, MiniLM; ships with ragvis"),
    Known("llava-1.5-7b", "model", "llava-hf/llava-1.5-7b-hf", "the default on a CUDA GPU, 8-bit"),
    Known("llava-1.5-13b", "model", "llava-hf/llava-1.5-13b-hf", "larger LLaVA-1.5"),
    Known("llava-1.6-vicuna-7b", "model", "llava-hf/llava-v1.6-vicuna-7b-hf", "NeXT, tiles"),
    Known("llava-1.6-mistral-7b", "model", "llava-hf/llava-v1.6-mistral-7b-hf", "NeXT, tiles"),
    Known(
        "llava-interleave-7b", "model", "llava-hf/llava-interleave-qwen-7b-hf", "several pictures"
    ),
    Known(
        "llava-onevision-7b", "model", "llava-hf/llava-onevision-qwen2-7b-ov-hf", "several pictures"
    ),
    Known(
        DEFAULT_GPU_ENCODER, "encoder", "timm/vit_large_patch14_clip_336.openai", "the GPU default"
    ),
)
_ORIGINALS = {  # checkpoints in the original layout -> their twins in transformers' layout
    "liuhaotian/llava-v1.5-7b": "llava-hf/llava-1.5-7b-hf",
    "liuhaotian/llava-v1.5-13b": "llava-hf/llava-1.5-13b-hf",
    "liuhaotian/llava-v1.6-vicuna-7b": "llava-hf/llava-v1.6-vicuna-7b-hf",
    "liuhaotian/llava-v1.6-mistral-7b": "llava-hf/llava-v1.6-mistral-7b-hf",
    "lmms-lab/llava-onevision-qwen2-7b-ov": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
}


def resolve_model(name: str, tell: Tell) -> str:
    """The folder or hub repository that a model name means; pocket is built if it is not yet.

    Raises:
        ModelUnavailable: pocket is not here and cannot be had.
        UsageError: a path that is no folder.
    """
    if name == POCKET:
        return str(pocket.ensure(tell).model)
    known = {k.name: k.where for k in KNOWN if k.kind == "model"} | _ORIGINALS
    if name in known:
        return known[name]
    if Path(name).is_dir() or (name.count("/") == 1 and not name.startswith((".", "/", "~"))):
        return name
    hint = f"Known names: {', '.join(k.name for k in KNOWN if k.kind == 'model')}."
    raise UsageError(f"no model {name!r}: neither a known name, a hub id nor a folder", hint)


def on_this_machine(known: Known) -> bool:
    """Whether the weights can be loaded with no network."""
    if known.where == POCKET:
        return pocket.installed() is not None
    return _cached(known.where, "open_clip_model.safetensors") is not None or _whole(known.where)


def _whole(repository: str) -> bool:
    """Whether every shard that the checkpoint's own list names is in the hub's cache."""
    if _cached(repository, "model.safetensors"):
        return True
    listed = _cached(repository, "model.safetensors.index.json")
    if listed is None:
        return False
    shards = set(json.loads(Path(listed).read_text("utf-8"))["weight_map"].values())
    return all(_cached(repository, shard) for shard in shards)


def _cached(repository: str, file: str) -> str | None:
    found = require("huggingface_hub").try_to_load_from_cache(repository, file)
    return found if isinstance(found, str) else None


def get(name: str, tell: Tell) -> str:
    """Fetch a model's or an encoder's weights; returns where they lie.

    Raises:
        ModelUnavailable: offline, or the hub does not have it.
    """
    if name == POCKET:
        return str(pocket.ensure(tell).root)
    if config.offline():
        hint = f"Run once, online: ragvis models get {name}"
        raise ModelUnavailable(f"offline: {name} was not fetched", hint)
    known = {k.name: k.where for k in KNOWN if k.kind == "model"} | _ORIGINALS
    repository = known.get(name, name.removeprefix("hf-hub:"))
    architecture, _, tag = name.partition("/")
    open_clip = require("open_clip")
    weights = open_clip.get_pretrained_cfg(architecture, tag)
    tell(f"fetching {name if weights else repository}")
    try:
        if weights:
            return str(open_clip.download_pretrained(weights))
        wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
        return str(require("huggingface_hub").snapshot_download(repository, allow_patterns=wanted))
    # the hub, its HTTP client and open_clip each have errors of their own
    except Exception as error:
        raise hub.explain("model", name, error) from error


def default_names(tell: Tell) -> tuple[str, str]:
    """(encoder, model) for this machine: the GPU pair where it can run, else pocket twice."""
    reason = _why_not_gpu()
    if reason is None:
        return DEFAULT_GPU_ENCODER, DEFAULT_GPU_MODEL
    better = f"For better answers use a CUDA GPU and `ragvis models get {DEFAULT_GPU_MODEL}`."
    tell(Advice(f"using the small pocket model: {reason}. {better}"))
    return POCKET, POCKET


def _why_not_gpu() -> str | None:
    torch = require("torch")
    if not torch.cuda.is_available():
        return "there is no CUDA GPU here"
    if torch.cuda.mem_get_info()[0] < GPU_ROOM:
        return f"the GPU has less than {GPU_ROOM // 2**30} GiB free"
    wanted = [k for k in KNOWN if k.name in (DEFAULT_GPU_MODEL, DEFAULT_GPU_ENCODER)]
    if not all(map(on_this_machine, wanted)) and not _hub_reachable():
        return "LLaVA's weights are not here and the model hub cannot be reached"
    return None


def _hub_reachable() -> bool:
    if config.offline():
        return False
    try:
        socket.create_connection(("huggingface.co", 443), timeout=3).close()
    except OSError:
        return False
    return True
