"""The layers of a language model on a GPU, by kernels of our own.

transformers' layers launch some fifteen kernels each, most of which move a vector that the one
before has just written. Here a layer of a decode step is six.
"""

from __future__ import annotations

from typing import Any

import torch

from ragvis._lazy import require
from ragvis.generator import int8_launch
from ragvis.generator.int8_launch import FEW, next_power
from ragvis.generator.int8_stack import Held, Stack

COLUMNS = 16  # of a matrix: what tensor cores take at once
_BLOCK = 64  # tokens that are attended to at once


class GpuStack(Stack):
    """In float16; see ``Stack``."""

    times = staticmethod(int8_launch.times)
    takes_rows = True

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._kernels = require("ragvis.generator.int8_kernels")
        self._is_warm = False

    def warm(self) -> None:
        """Have the products compiled that some number of rows will need later."""
        layer, width = self.layers[0], self.layers[0].qkv.weight.shape[1]
        if not self._is_warm:
            for rows in (2, FEW // 2, FEW + 1):
                hidden = torch.zeros((rows, width), dtype=torch.float16, device=self.device)
                qkv = self.times(hidden, layer.qkv, norm=layer.first_norm)
                self._rest(hidden, qkv[:, : self.heads * self.dim].contiguous(), layer)
        self._is_warm = True

    def _rotate(self, qkv: torch.Tensor, held: Held, layer: int, row: int, known: int) -> None:
        keys, values = held.keys[layer][row], held.values[layer][row]
        shape = {"HEADS": self.heads, "GROUPS": self.groups, "DIM": self.dim}
        self._kernels.rotate[(len(qkv), self.heads + self.groups)](
            qkv, keys, values, *held.angles, known, held.length, **shape, num_warps=1
        )

    def _attended_once(self, qkv: torch.Tensor, held: Held, layer: int) -> torch.Tensor:
        rows, splits = len(qkv), held.tops.shape[-1]
        y = qkv.new_empty((rows, self.heads * self.dim))
        parts = (held.sums, held.tops, held.weights)
        self._kernels.attend[(rows * self.groups, splits)](
            qkv,
            held.keys[layer],
            held.values[layer],
            *held.angles,
            held.positions,
            *parts,
            held.length,
            splits,
            self.dim**-0.5,
            HEADS=self.heads,
            GROUPS=self.groups,
            DIM=self.dim,
            CHUNK=held.chunk,
            BLOCK=_BLOCK,
        )
        shape = {"HEADS": self.heads, "DIM": self.dim, "CHUNK": held.chunk}
        self._kernels.combine[(rows * self.heads,)](
            *parts, held.positions, y, splits, **shape, SPLITS=next_power(splits)
        )
        return y
