"""8-bit weights at memory speed: int8 rows with one scale each, whole activations.

The numbers are bitsandbytes' own row-wise format: w ≈ q * absmax / 127 with q = round(127 w /
absmax). LLM.int8 also quantizes the activations and looks for outliers at every step, which costs
it a synchronization with the host per layer; here activations stay as they are (on a CPU a decode
step rounds them to bfloat16), so outliers need no care, and the decode step can be compiled and
replayed as one CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ragvis.generator.int8_launch import Matrix, times

COLUMNS = 64  # that PyTorch's kernel for CPUs reads at once; of others it reads too many


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """weight (out, in) -> int8 (out, in) and its scales (out,) float32, absmax / 127 a row."""
    wide = weight.float()
    scale = wide.abs().amax(dim=1) / 127
    steps = torch.where(scale > 0, scale, 1.0)
    return (wide / steps[:, None]).round().to(torch.int8), scale


class Int8Linear(nn.Module):
    """A linear layer that keeps int8 weights; in and out are of the input's own dtype, which on a
    GPU is float16."""

    weight: torch.Tensor  # (out, in) int8
    scale: torch.Tensor  # (out,) float32

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        quantized, scale = quantize_rows(linear.weight.data)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("weight", quantized)
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (…, in) -> (…, out)."""
        if x.is_cuda:
            rows = x.reshape(-1, self.in_features).contiguous()
            return times(rows, self.matrix).view(*x.shape[:-1], self.out_features)
        if x.numel() == self.in_features and self.in_features % COLUMNS == 0:
            y = one_row_on_cpu(x, self.weight, self.scale)
            return y if self.bias is None else y + self.bias
        # PyTorch multiplies int8 by float32 many times more slowly than it turns one into the other
        whole = self.weight.to(x.dtype).mul_(self.scale[:, None])
        return F.linear(x, whole, self.bias)

    @property
    def matrix(self) -> Matrix:
        """Its numbers as they are now."""
        return Matrix(self.weight, self.scale, self.bias)


def quantize(model: nn.Module, keep: Sequence[str], device: torch.device | str) -> nn.Module:
    """Move a model to a device, its linear layers as int8 but those named by ``keep``.

    Layer by layer, so that the device never holds the 16-bit weights of more than one.
    """
    # Names, not modules: a list of modules would keep all their 16-bit weights on the device.
    linear = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    for name in linear:
        if not name.startswith(tuple(keep)):
            parent, _, child = name.rpartition(".")
            whole = cast(nn.Linear, model.get_submodule(name).to(device))
            setattr(model.get_submodule(parent), child, Int8Linear(whole))
    return model.to(device)


def one_row_on_cpu(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """x (…, in) of one row -> (…, out), multiplied as bfloat16, which the sums are rounded to,
    and scaled as float32; in is a multiple of 64.

    PyTorch has a vectorized kernel for bfloat16; its others are slower than 32-bit weights.
    """
    y = torch._weight_int8pack_mm(x.reshape(1, -1).bfloat16(), weight, _ones(len(weight)))
    return y.float().mul_(scale).to(x.dtype).reshape(*x.shape[:-1], -1)


@cache
def _ones(count: int) -> torch.Tensor:
    """(count,) bfloat16: a step would make hundreds."""
    return torch.ones(count, dtype=torch.bfloat16)
