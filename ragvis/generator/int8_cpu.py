"""The layers of a language model on a CPU, in as few operations as PyTorch has for them.

A decode step of a small model is mostly operations that hardly compute: transformers' layers take
some seventy-five each, copy the keys for every head, and attend to the whole cache. Here a layer
is some forty, and attends to what it holds.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from ragvis.generator.int8 import one_row_on_cpu, quantize_rows
from ragvis.generator.int8_launch import Matrix, Norm
from ragvis.generator.int8_stack import Held, Stack


class CpuStack(Stack):
    """In float32, one row at a time; see ``Stack``."""

    takes_rows = False

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        # A small model's head is a third of what a step reads
        self.head = Matrix(*quantize_rows(self.head.weight), self.head.bias)
        self._scratch = torch.empty(0)  # for one matrix in float32: new memory is slow to touch

    def times(
        self,
        x: torch.Tensor,
        matrix: Matrix,
        second: Matrix | None = None,
        *,
        into: torch.Tensor | None = None,
        norm: Norm | None = None,
    ) -> torch.Tensor:
        """See ``Stack``."""
        if norm is not None:
            x = _one_normed(x, norm) if len(x) == 1 else _normed(x, norm)
        y = self._product(x, matrix)
        if second is not None:
            y = F.silu(y, inplace=True).mul_(self._product(x, second))
        return y if into is None else into.add_(y)

    def _product(self, x: torch.Tensor, matrix: Matrix) -> torch.Tensor:
        assert matrix.scale is not None
        if len(x) > 1:
            return F.linear(x, self._dequantized(matrix.weight, matrix.scale), matrix.bias)
        y = one_row_on_cpu(x, matrix.weight, matrix.scale)
        return y if matrix.bias is None else y.add_(matrix.bias)

    def _dequantized(self, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """(out, in) float32, until the next one."""
        if self._scratch.numel() < weight.numel():
            self._scratch = torch.empty(weight.numel())
        whole = self._scratch[: weight.numel()].view(weight.shape)
        return whole.copy_(weight).mul_(scale[:, None])

    def warm(self) -> None:
        """Nothing is compiled."""

    def _rotate(self, qkv: torch.Tensor, held: Held, layer: int, row: int, known: int) -> None:
        n, own = len(qkv), self.heads * self.dim
        cosines, sines = (part[known : known + n, None] for part in held.angles)  # (n, 1, dim / 2)
        halves = qkv[:, : own + self.groups * self.dim].view(n, -1, 2, self.dim // 2)
        first, second = halves.unbind(2)
        ahead = torch.addcmul(first * cosines, second, sines, value=-1)
        torch.addcmul(second * cosines, first, sines, out=second)
        first.copy_(ahead)
        new = qkv[:, own:].view(n, 2, self.groups, self.dim).permute(1, 2, 0, 3)
        for cache, part in zip((held.keys, held.values), new, strict=True):
            cache[layer][row, :, known : known + n] = part

    def _attended_once(self, qkv: torch.Tensor, held: Held, layer: int) -> torch.Tensor:
        known = int(held.positions[0])
        self._rotate(qkv, held, layer, 0, known)
        # The heads that share keys look at them as so many queries of one would
        queries = qkv[0, : self.heads * self.dim].view(1, self.groups, -1, self.dim)
        keys, values = (part[layer][:, :, : known + 1] for part in (held.keys, held.values))
        return F.scaled_dot_product_attention(queries, keys, values).view(1, -1)


def _normed(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    return F.rms_norm(x, x.shape[-1:], norm.weight, norm.eps)


def _one_normed(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    """The same of one row, in three operations for nine."""
    square = float(torch.linalg.vector_norm(x)) ** 2
    return torch.mul(x, norm.weight).mul_((square / x.shape[-1] + norm.eps) ** -0.5)
