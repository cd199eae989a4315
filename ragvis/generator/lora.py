"""A LoRA folder merged into its model: the adapter, and what was trained beside it.

LLaVA's own training writes the connector, which has no low-rank pair, into a file beside the
adapter (haotian-liu/LLaVA ``llava/train/train.py``). Without it the model is another one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ragvis._lazy import require
from ragvis.errors import ModelError
from ragvis.models import original

ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
BESIDE = ("non_lora_trainables.safetensors", "non_lora_trainables.bin")
_WRAPPED = "base_model.model."  # what peft puts before every name
_TOWER = "model.vision_tower."


def merged(model: Any, folder: str) -> Any:
    """The model with a LoRA folder in it.

    Args:
        model: transformers' LLaVA.
        folder: holds a peft adapter, and maybe weights that were trained whole beside it.

    Raises:
        ModelError: some weights find no place, of which peft only warns, or there are none.
    """
    _load_whole(model, Path(folder))
    return _adapted(model, folder)


def _adapted(model: Any, folder: str) -> Any:
    if not any((Path(folder) / name).is_file() for name in ADAPTERS):
        raise ModelError(f"the LoRA in {folder} holds no weights", f"It needs a {ADAPTERS[0]}.")
    peft = require("peft")
    adapted = peft.PeftModel(model, peft.PeftConfig.from_pretrained(folder))
    read = adapted.load_adapter(folder, adapted.active_adapter)  # `from_pretrained` only warns
    weights = dict(adapted.named_parameters())
    # The second factor of every pair begins as zeros
    learned = {name for name, part in weights.items() if "lora_B" in name and part.any()}
    stray = [*read.unexpected_keys, *learned.intersection(read.missing_keys)]
    if stray or not learned:
        raise _misfit(folder, f"{stray[0]} has no place" if stray else "it changes nothing")
    return adapted.merge_and_unload()


def _load_whole(model: Any, folder: Path) -> None:
    """Put weights into the model that were trained whole."""
    file = next((folder / name for name in BESIDE if (folder / name).is_file()), None)
    if file is None:
        return
    own = model.state_dict()
    for name, tensor in _tensors(file).items():
        place = next((p for p in _places(name, own) if p in own), None)
        if place is None:
            raise _misfit(str(folder), f"{name} of {file.name} has no place")
        if own[place].shape != tensor.shape:
            shapes = f"{tuple(tensor.shape)}, and not {tuple(own[place].shape)}"
            raise _misfit(str(folder), f"{name} of {file.name} is {shapes}")
        with torch.no_grad():
            own[place].copy_(tensor)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    if file.suffix == ".safetensors":
        found: dict[str, torch.Tensor] = require("safetensors.torch").load_file(file)
    else:
        found = torch.load(file, "cpu", weights_only=True)
    return found


def _places(name: str, own: dict[str, Any]) -> list[str]:
    """What transformers may call it: by its own name, an older one, or the original code's."""
    while name.startswith(_WRAPPED):
        name = name.removeprefix(_WRAPPED)
    tower = {n.removeprefix(_TOWER) for n in own if n.startswith(_TOWER)}
    return [name, f"model.{name}", original.new_name(name, tower)]


def _misfit(folder: str, why: str) -> ModelError:
    hint = "It has to be one of the whole LLaVA, with the names that transformers gives it."
    return ModelError(f"the LoRA in {folder} is another model's: {why}", hint)
