"""The layers of a Llama, Mistral or Qwen2 with int8 rows, in fewer steps than transformers' take.

``int8_gpu`` and ``int8_cpu`` say how each step is done. The weights are the model's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import nn

from ragvis.generator.int8 import Int8Linear
from ragvis.generator.int8_launch import Matrix, Norm

_FAMILIES = ("llama", "mistral", "qwen2")
_DIMS = (32, 64, 128)  # of a head: halves that tensor cores take, in memory that all GPUs have
_SHARE = 16  # heads of queries to one of keys: ``attend`` takes so many at once
_ROPES = ("default", "linear", "llama3", "yarn")  # one table of angles, however long the text
_BIASED = ("q_proj", "k_proj", "v_proj")  # these may be


def fits(model: Any, dtype: torch.dtype, columns: int) -> bool:
    """Whether a model is one of those, of this dtype and with int8 rows of so many numbers or a
    multiple of it."""
    language = model.model.language_model
    config = language.config
    layers = {name: m for name, m in language.named_modules() if name.endswith("_proj")}
    return (
        config.model_type in _FAMILIES
        and _dim(config) in _DIMS
        and config.num_attention_heads <= _SHARE * config.num_key_value_heads
        and config.rope_parameters.get("partial_rotary_factor", 1) == 1
        and config.hidden_act == "silu"
        and config.rope_parameters["rope_type"] in _ROPES
        and not _slides(config)
        and model.dtype == dtype
        and type(model.lm_head) is nn.Linear
        and all(type(m) is Int8Linear and m.in_features % columns == 0 for m in layers.values())
        and all(m.bias is None or name.endswith(_BIASED) for name, m in layers.items())
    )


def _dim(config: Any) -> int:
    return int(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )


def _slides(config: Any) -> bool:
    """Whether a layer forgets what is far behind."""
    if config.model_type == "mistral":
        return config.sliding_window is not None
    return "sliding_attention" in (getattr(config, "layer_types", None) or [])


@dataclass(frozen=True, slots=True)
class _Layer:
    first_norm: Norm
    qkv: Matrix
    out: Matrix
    second_norm: Norm
    gate: Matrix
    up: Matrix
    down: Matrix

    @classmethod
    def of(cls, layer: Any, eps: float) -> _Layer:
        """transformers' layer, with which it shares its weights."""
        own, mlp = layer.self_attn, layer.mlp
        return cls(
            Norm(layer.input_layernorm.weight, eps),
            _joined([own.q_proj, own.k_proj, own.v_proj]),
            own.o_proj.matrix,
            Norm(layer.post_attention_layernorm.weight, eps),
            mlp.gate_proj.matrix,
            mlp.up_proj.matrix,
            mlp.down_proj.matrix,
        )


def _joined(parts: list[Int8Linear]) -> Matrix:
    """One matrix, of whose rows the layers' own are parts from now on."""
    whole = Matrix.joined([part.matrix for part in parts])
    own = torch.split(whole.weight, [part.out_features for part in parts])
    for part, rows in zip(parts, own, strict=True):
        part.weight = rows
    return whole


class Held:
    """Keys and values of some rows of tokens: a layer each (rows, groups, length, dim), of the
    model's dtype.

    ``positions`` (rows,) int32 is how many tokens each row holds: what stands behind is noise.
    """

    def __init__(self, stack: Stack, rows: int, length: int) -> None:
        self.length = length
        self._layers = len(stack.layers)
        self._shape = (rows, stack.groups, length, stack.dim)
        self._dtype = stack.dtype
        self.keys: list[torch.Tensor] = []  # until ``fill``
        self.values: list[torch.Tensor] = []
        self.positions = torch.zeros(rows, dtype=torch.int32, device=stack.device)
        self.angles = stack.angles(length)
        # Tokens a program attends to: more where there are programs enough as it is
        self.chunk = 512 if rows * stack.groups >= 128 or length > 8192 else 128
        parts = (rows, stack.heads, -(-length // self.chunk))
        self.sums = torch.empty((*parts, stack.dim), dtype=torch.float32, device=stack.device)
        self.tops = torch.empty(parts, dtype=torch.float32, device=stack.device)
        self.weights = torch.empty_like(self.tops)

    def fill(self, shorter: Held | None = None) -> None:
        """Take the memory, and what another one holds, which is gone with it: layer by layer, so
        that both are never whole."""
        if not self.keys:
            self.keys = self._filled(shorter.keys if shorter else [])
            self.values = self._filled(shorter.values if shorter else [])
        if shorter is not None:
            self.positions.copy_(shorter.positions)

    def _filled(self, old: list[torch.Tensor]) -> list[torch.Tensor]:
        return [self._layer(old.pop(0) if old else None) for _ in range(self._layers)]

    def _layer(self, old: torch.Tensor | None) -> torch.Tensor:
        own = torch.empty(self._shape, dtype=self._dtype, device=self.positions.device)
        if old is not None:
            own[:, :, : old.shape[2]] = old
        return own


class Stack(ABC):
    """Runs the language model of a checkpoint that ``fits``."""

    times: ClassVar[Callable[..., torch.Tensor]]  # a product: see ``int8_launch.times``
    takes_rows: ClassVar[bool]  # whether several rows of tokens go through it together

    def __init__(self, model: Any) -> None:
        language = model.model.language_model
        config = language.config
        self._rotary = language.rotary_emb
        self._embed = model.get_input_embeddings()
        self.head = Matrix(model.lm_head.weight, bias=model.lm_head.bias)
        eps = float(config.rms_norm_eps)
        self._norm = Norm(language.norm.weight, eps)
        self.heads = int(config.num_attention_heads)
        self.groups = int(config.num_key_value_heads)
        self.dim = _dim(config)
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.layers = [_Layer.of(layer, eps) for layer in language.layers]

    def has_room(self, rows: int, length: int) -> bool:
        """Whether the GPU can hold so many rows of tokens, and half as much again to work in."""
        if self.device.type != "cuda":
            return True
        held = 4 * len(self.layers) * rows * self.groups * length * self.dim  # bytes
        kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # by PyTorch, to be had
        return 1.5 * held < torch.cuda.mem_get_info()[0] + kept

    def angles(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines (length, dim / 2) float32 of rotary positions."""
        places = torch.arange(length, device=self.device)[None]
        like = torch.empty(0, dtype=torch.float32, device=self.device)
        cosines, sines = self._rotary(like, places)
        half = self.dim // 2
        return cosines[0, :, :half].contiguous(), sines[0, :, :half].contiguous()

    def new_logits(self, rows: int) -> torch.Tensor:
        """Room for them: (rows, vocabulary)."""
        return torch.zeros((rows, len(self.head.weight)), dtype=self.dtype, device=self.device)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """ids (n,) -> (n, width)."""
        return cast(torch.Tensor, self._embed(ids))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, vocabulary)."""
        return self.times(hidden, self.head, norm=self._norm)

    def read(self, hidden: torch.Tensor, held: Held, row: int, known: int) -> torch.Tensor:
        """Go through new tokens (n, width) of one row that holds ``known`` already.

        ``hidden`` is overwritten with what leaves the last layer, and returned.
        """
        for number, layer in enumerate(self.layers):
            qkv = self.times(hidden, layer.qkv, norm=layer.first_norm)
            seen = self._attended(qkv, held, number, row, known)
            self._rest(hidden, seen, layer)
        held.positions[row] = known + len(hidden)
        return hidden

    @abstractmethod
    def warm(self) -> None:
        """Have the products compiled that some number of rows will need later."""

    def step(self, hidden: torch.Tensor, held: Held) -> torch.Tensor:
        """Go through one new token (rows, width) of every row; as ``read``.

        Nothing in it depends on how many tokens the rows hold but for numbers in ``held``, so
        that it can be captured.
        """
        for number, layer in enumerate(self.layers):
            qkv = self.times(hidden, layer.qkv, norm=layer.first_norm)
            self._rest(hidden, self._attended_once(qkv, held, number), layer)
        held.positions.add_(1)
        return hidden

    def _rest(self, hidden: torch.Tensor, seen: torch.Tensor, layer: _Layer) -> None:
        self.times(seen, layer.out, into=hidden)
        inner = self.times(hidden, layer.gate, layer.up, norm=layer.second_norm)
        self.times(inner, layer.down, into=hidden)

    def _attended(
        self, qkv: torch.Tensor, held: Held, layer: int, row: int, known: int
    ) -> torch.Tensor:
        """Attention of n new tokens of a row: qkv (n, …) -> (n, heads * dim)."""
        self._rotate(qkv, held, layer, row, known)
        n, keys, values = len(qkv), held.keys[layer][row], held.values[layer][row]
        queries = qkv[:, : self.heads * self.dim].reshape(n, self.heads, self.dim)
        seen = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            self._for_heads(keys[:, : known + n])[None],
            self._for_heads(values[:, : known + n])[None],
            attn_mask=_before(known, n, qkv.device) if known else None,
            is_causal=not known,
        )
        return seen[0].transpose(0, 1).reshape(n, -1)

    @abstractmethod
    def _rotate(self, qkv: torch.Tensor, held: Held, layer: int, row: int, known: int) -> None:
        """Turn the queries of new tokens where they are by their places, and put their turned keys
        and their values behind the ``known`` ones of a row."""

    def _for_heads(self, part: torch.Tensor) -> torch.Tensor:
        """(groups, n, dim) -> (heads, n, dim): not all kernels of PyTorch share keys."""
        share = self.heads // self.groups
        return part if share == 1 else part.repeat_interleave(share, 0)

    @abstractmethod
    def _attended_once(self, qkv: torch.Tensor, held: Held, layer: int) -> torch.Tensor:
        """Attention of one new token a row: qkv (rows, …) -> (rows, heads * dim)."""


def _before(known: int, n: int, device: torch.device) -> torch.Tensor:
    """(n, known + n): what each new token may look at."""
    return torch.ones((n, known + n), dtype=torch.bool, device=device).tril(known)
