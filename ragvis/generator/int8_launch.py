"""Products with int8 rows on a GPU, each by the kernel that is fastest for its number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
import torch.nn.functional as F

from ragvis._lazy import require

FEW = 64  # rows that are multiplied as the weights are read; more are worth whole matrices
_KERNELS = "ragvis.generator.int8_kernels"


def can_compile() -> bool:
    """Whether there is a GPU that Triton, which is not everywhere, compiles for."""
    return (
        torch.cuda.is_available()
        and torch.cuda.get_device_capability() >= (8, 0)
        and find_spec("triton") is not None
    )


@dataclass(frozen=True, slots=True)
class Matrix:
    """weight (out, in) int8 with scale (out,) float32, or floating with none; bias (out,)."""

    weight: torch.Tensor
    scale: torch.Tensor | None = None
    bias: torch.Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Matrix]) -> Matrix:
        """Several that read the same input as one."""
        weight, scale, bias = (
            [part for one in parts if (part := getattr(one, name)) is not None]
            for name in ("weight", "scale", "bias")
        )
        return cls(torch.cat(weight), torch.cat(scale), torch.cat(bias) if bias else None)


@dataclass(frozen=True, slots=True)
class Norm:
    """RMSNorm: weight (in,), and what is added to the mean square."""

    weight: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x (n, in) -> the same, of unit root mean square, times the weight."""
        y, width = torch.empty_like(x), x.shape[1]
        columns = next_power(width)
        require(_KERNELS).normalize[(len(x),)](
            x, self.weight, y, width, self.eps, COLUMNS=columns, num_warps=8
        )
        return y


def times(
    x: torch.Tensor,
    matrix: Matrix,
    second: Matrix | None = None,
    *,
    into: torch.Tensor | None = None,
    norm: Norm | None = None,
) -> torch.Tensor:
    """x (n, in) float16, through ``norm`` first, -> (n, out) float16.

    With ``second``, a matrix like the first, silu(first) * second; it has no bias then. With
    ``into`` (n, out) it is added to that, and that is returned.
    """
    if len(x) == 1:
        return _one(x, matrix, second, into, norm)
    if norm is not None:
        x = norm(x)
    if len(x) <= FEW and matrix.scale is not None:
        return _few(x, matrix, second, into)
    return _many(x, matrix, second, into)


def _one(
    x: torch.Tensor,
    matrix: Matrix,
    second: Matrix | None,
    into: torch.Tensor | None,
    norm: Norm | None,
) -> torch.Tensor:
    """As ``times``, of one row, as fast as the weights can be read."""
    out, width = matrix.weight.shape
    y = x.new_empty((1, out)) if into is None else into
    rows, columns, warps = one_row_shape(width, second is not None, matrix.scale is None)
    require(_KERNELS).one_row[(-(-out // rows),)](
        x,
        None if norm is None else norm.weight,
        *_numbers(matrix, second),
        y,
        out,
        width,
        0.0 if norm is None else norm.eps,
        ROWS=rows,
        COLUMNS=columns,
        EVEN=width % columns == 0,
        ADD=into is not None,
        num_warps=warps,
    )
    return y


def _few(
    x: torch.Tensor, matrix: Matrix, second: Matrix | None, into: torch.Tensor | None
) -> torch.Tensor:
    out, width = matrix.weight.shape
    y = x.new_empty((len(x), out)) if into is None else into
    count = 16 if len(x) <= 16 else FEW
    rows, columns, warps, stages = few_rows_shape(count, out)
    require(_KERNELS).few_rows[(-(-out // rows),)](
        x,
        *_numbers(matrix, second),
        y,
        len(x),
        out,
        width,
        COUNT=count,
        ROWS=rows,
        COLUMNS=columns,
        EVEN=width % columns == 0,
        ADD=into is not None,
        num_warps=warps,
        num_stages=stages,
    )
    return y


def _numbers(matrix: Matrix, second: Matrix | None) -> tuple[torch.Tensor | None, ...]:
    """What the kernels take of one matrix or two."""
    gated = (None, None) if second is None else (second.weight, second.scale)
    return matrix.weight, matrix.scale, *gated, matrix.bias


def _many(
    x: torch.Tensor, matrix: Matrix, second: Matrix | None, into: torch.Tensor | None
) -> torch.Tensor:
    if into is not None and second is None and matrix.bias is None:
        return into.addmm_(x, _dequantized(matrix, x.dtype).T)
    y = F.linear(x, _dequantized(matrix, x.dtype), matrix.bias)
    if second is not None:
        y = F.silu(y, inplace=True).mul_(F.linear(x, _dequantized(second, x.dtype)))
    return y if into is None else into.add_(y)


def _dequantized(matrix: Matrix, dtype: torch.dtype) -> torch.Tensor:
    """(out, in) in ``dtype``."""
    if matrix.scale is None:
        return matrix.weight
    out, width = matrix.weight.shape
    whole = torch.empty((out, width), dtype=dtype, device=matrix.weight.device)
    columns = min(4096, next_power(width))
    require(_KERNELS).dequantize[(out,)](
        matrix.weight, matrix.scale, whole, width, COLUMNS=columns, num_warps=4
    )
    return whole


def next_power(n: int) -> int:
    """The least power of two that is no less."""
    return 1 << (n - 1).bit_length()


def one_row_shape(width: int, two: bool, whole: bool) -> tuple[int, int, int]:
    """Rows a program multiplies, columns it reads at once, warps: the fastest on an H100."""
    return 4 if two else 8, min(1024, next_power(width)), 8 if whole else 4


def few_rows_shape(count: int, out: int) -> tuple[int, int, int, int]:
    """Rows, columns, warps, stages: the fastest on an H100."""
    if count <= 16:
        return 32, 256, 4, 3 if out > 8192 else 5
    return (64, 64, 4, 4) if out > 8192 else (32, 128, 4, 4)
