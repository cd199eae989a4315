"""Keeping the model hub's libraries to what ragvis was told about the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragvis import config
from ragvis._lazy import require
from ragvis._quiet import quiet
from ragvis.errors import ModelError, ModelUnavailable, RagvisError

_BLOCK, _BLOCKS = 2**14, 512  # bytes read at each of so many places of a file


def obey_offline() -> None:
    """huggingface_hub reads its variable once, at import: tell it again before every load."""
    constants: Any = require("huggingface_hub.constants")
    constants.HF_HUB_OFFLINE = config.offline()


def refuse_plain_download(architecture: str, tag: str) -> None:
    """open_clip fetches weights that are on no hub with urllib, which knows no offline mode.

    Raises:
        ModelUnavailable: offline, and these are such weights.
    """
    known = require("open_clip").get_pretrained_cfg(architecture, tag) or {}
    if config.offline() and known.get("url") and not known.get("hf_hub"):
        raise ModelUnavailable(
            f"offline: the weights of {architecture}/{tag} come from a plain URL",
            "Give a folder that holds them, or use --encoder pocket.",
        )


def revision_of(folder: Path) -> str:
    """A name for the weights in a folder: other weights, another name.

    It comes from each file's size and from places all over it, as reading all of a large one takes
    minutes. Training changes every place; a tensor or two changed by hand may go unseen.
    """
    digest = hashlib.sha256()
    kinds = ("*.safetensors", "*.bin", "adapter_config.json")  # how far a LoRA goes is in the last
    for file in [file for kind in kinds for file in sorted(folder.glob(kind))]:
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}:".encode())
        with file.open("rb") as stream:
            for place in [*range(0, size, max(_BLOCK, size // _BLOCKS)), max(0, size - _BLOCK)]:
                stream.seek(place)
                digest.update(stream.read(_BLOCK))
    return f"local-{digest.hexdigest()[:12]}"


@contextmanager
def explained(kind: str, name: str) -> Iterator[None]:
    """Load ``name`` inside, without a word of the libraries'; raises as ``explain`` says."""
    with translated(kind, name), quiet():
        yield


@contextmanager
def translated(kind: str, name: str) -> Iterator[None]:
    """Load ``name`` inside; raises as ``explain`` says."""
    try:
        yield
    except RagvisError:
        raise
    # transformers, bitsandbytes, peft, open_clip and the hub each have errors of their own
    except Exception as error:
        raise explain(kind, name, error) from error


def explain(kind: str, name: str, error: Exception) -> ModelError:
    """One of ours for whatever a library raised while it loaded ``name``."""
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if "out of memory" in reason.lower():
        hint = "Free it, choose a smaller one, or use pocket."
        return ModelError(f"there is no room for the {kind} {name}", hint)
    if Path(name).is_dir():
        hint = "Check that the folder holds a whole checkpoint of a kind that ragvis knows."
        return ModelError(f"the {kind} in {name} cannot be loaded: {reason}", hint)
    if config.offline():
        hint = f"Run once, online: ragvis models get {name}"
        return ModelUnavailable(f"the {kind} {name} is not on this machine; offline", hint)
    hint = "Check the name and the network; pocket needs neither."
    return ModelUnavailable(f"the {kind} {name} could not be loaded: {reason}", hint)
