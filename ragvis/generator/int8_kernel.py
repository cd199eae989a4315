"""The Triton kernel of ``int8``; imported on CUDA only (or under Triton's interpreter)."""

from __future__ import annotations

import os

import triton
import triton.language as tl

# The interpreter runs on the CPU, which knows no PTX.
INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _half(weights):
    """int8 -> float16, four at a time.

    The GPU's own conversion is four times slower than its memory. Bytes offset by 128 become the
    low bits of float16 numbers from 1024 to 1279, whose steps are 1; taking 1152 away is exact.
    """
    if INTERPRETED:
        return weights.to(tl.float16)
    return tl.inline_asm_elementwise(
        """{
        .reg .b32 bytes, offset;
        xor.b32 bytes, $2, 0x80808080;
        mov.b32 offset, 0x64806480;
        prmt.b32 $0, bytes, 0x64646464, 0x4140;
        prmt.b32 $1, bytes, 0x64646464, 0x4342;
        sub.f16x2 $0, $0, offset;
        sub.f16x2 $1, $1, offset;
        }""",
        "=r,=r,r",
        [weights],
        dtype=tl.float16,
        is_pure=True,
        pack=4,
    )


@triton.jit
def row_times_matrix(
    x,
    weight,
    scale,
    y,
    out,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """y (out,) = (weight (out, width) int8 @ x (width,)) * scale (out,), summed in float32."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = rows < out
    lines = weight + rows[:, None].to(tl.int64) * width
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, width, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        there = columns < width
        xs = tl.load(x + columns, mask=there, other=0.0).to(tl.float32)
        block = tl.load(lines + columns[None, :], mask=inside[:, None] & there[None, :], other=0)
        sums += _half(block).to(tl.float32) * xs[None, :]
    total = tl.sum(sums, 1) * tl.load(scale + rows, mask=inside, other=0.0)
    tl.store(y + rows, total.to(y.dtype.element_ty), mask=inside)
