"""A LoRA in the weights of a model's linear layers, and its files in peft's form.

Hu et al., LoRA (2021). peft keeps it beside each layer: three products, a sum and casts of what
goes through. Here what it adds is added to the weight, once a step, and one product is left.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import load_file

LORA_FILE = "adapter_model.safetensors"
LEARNING = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_PREFIX = "base_model.model.model."  # peft's, of a language model with its head


class LoraLinear(torch.nn.Module):
    """A linear layer whose weight is ``weight + alpha / rank * B A``; A (rank, in), B (out, rank).

    Only A and B are learned; B begins as zeros.
    """

    def __init__(self, linear: torch.nn.Linear, rank: int, alpha: int) -> None:
        super().__init__()
        self.linear = linear
        self.scale = alpha / rank
        device = linear.weight.device
        self.lora_a = torch.nn.Parameter(torch.empty(rank, linear.in_features, device=device))
        self.lora_b = torch.nn.Parameter(torch.zeros(linear.out_features, rank, device=device))
        torch.nn.init.kaiming_uniform_(self.lora_a, math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) -> (…, out)."""
        with torch.autocast(x.device.type, enabled=False):
            weight = self.linear.weight + self.scale * (self.lora_b @ self.lora_a)
        return torch.nn.functional.linear(x, weight, self.linear.bias)


class Lora:
    """One on every linear layer of a language model that has a name among ``LEARNING``.

    Args:
        language: without its head; its layers are replaced.
        rank: if it is new.
        begun: the folder of one to go on with.

    Raises:
        OSError, SafetensorError, ValueError, KeyError, RuntimeError: that is none of this model.
    """

    def __init__(self, language: torch.nn.Module, rank: int, begun: Path | None) -> None:
        self._rank: int = rank
        self._alpha: int = 2 * rank
        if begun:
            known = LoraConfig.from_pretrained(str(begun))
            self._rank, self._alpha = known.r, known.lora_alpha
        named = [(n, m) for n, m in language.named_modules() if n.rpartition(".")[2] in LEARNING]
        self._layers: dict[str, LoraLinear] = {}
        for name, linear in named:
            assert isinstance(linear, torch.nn.Linear)
            parent, _, last = name.rpartition(".")
            self._layers[name] = LoraLinear(linear, self._rank, self._alpha)
            setattr(language.get_submodule(parent), last, self._layers[name])
        if begun:
            self._read(begun)

    @property
    def learned(self) -> list[torch.nn.Parameter]:
        """All A and B."""
        return [part for one in self._layers.values() for part in (one.lora_a, one.lora_b)]

    def _parts(self) -> dict[str, torch.nn.Parameter]:
        return {
            f"{_PREFIX}{name}.lora_{letter}.weight": part
            for name, one in self._layers.items()
            for letter, part in (("A", one.lora_a), ("B", one.lora_b))
        }

    def _read(self, folder: Path) -> None:
        held, own = load_file(folder / LORA_FILE), self._parts()
        if odd := sorted(set(held) ^ set(own)):
            raise ValueError(odd[0])
        with torch.no_grad():
            for name, part in own.items():
                if part.shape != held[name].shape:
                    raise ValueError(f"{name} is {tuple(held[name].shape)}")
                part.copy_(held[name])

    def state(self) -> dict[str, torch.Tensor]:
        """As peft names them."""
        return {name: part.detach() for name, part in self._parts().items()}

    def config(self) -> Any:
        """peft's, of this one."""
        return LoraConfig(
            r=self._rank, lora_alpha=self._alpha, target_modules=LEARNING, task_type="CAUSAL_LM"
        )
