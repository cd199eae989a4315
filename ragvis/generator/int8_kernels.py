"""The Triton kernels of int8 weights; imported on CUDA only (or under Triton's interpreter).

Activations are float16, sums float32. A decode step is bound by how fast the weights can be read,
so what else a layer does (its norms, rotation, gate, sums) happens inside the kernels that read.
"""

from __future__ import annotations

import os

import triton
import triton.language as tl

# The interpreter runs on the CPU, which knows no PTX.
INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _half(weights):
    """int8 -> float16, four at a time; what is not int8 stays as it is.

    The GPU's own conversion is four times slower than its memory. Bytes offset by 128 become the
    low bits of float16 numbers from 1024 to 1279, whose steps are 1; taking 1152 away is exact.
    """
    if weights.dtype != tl.int8:
        return weights
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
def _gated(gate, up):
    """silu(gate) * up."""
    return gate * tl.sigmoid(gate) * up


@triton.jit
def one_row(
    x,
    norm,
    weight,
    scale,
    second,
    second_scale,
    bias,
    y,
    out,
    width,
    eps,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    EVEN: tl.constexpr,
    ADD: tl.constexpr,
):
    """y (out,) = (weight (out, width) @ x (width,)) * scale (out,) + bias (out,).

    With ``norm`` (width,), x goes through RMSNorm first, whose division waits for the end. With
    ``second``, a weight like the first, y = silu(first) * second. With ADD it is added to y.
    """
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = rows < out
    lines = rows[:, None].to(tl.int64) * width
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    others = tl.zeros((ROWS, COLUMNS), tl.float32)
    squares = tl.zeros((COLUMNS,), tl.float32)
    for start in range(0, width, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        if EVEN:
            there = columns >= 0
            mask = inside[:, None]
        else:
            there = columns < width
            mask = inside[:, None] & there[None, :]
        xs = tl.load(x + columns, mask=there, other=0.0).to(tl.float32)
        if norm is not None:
            squares += xs * xs
            xs *= tl.load(norm + columns, mask=there, other=0.0).to(tl.float32)
        places = lines + columns[None, :]
        block = tl.load(weight + places, mask=mask, other=0, eviction_policy="evict_first")
        sums += _half(block).to(tl.float32) * xs[None, :]
        if second is not None:
            block = tl.load(second + places, mask=mask, other=0, eviction_policy="evict_first")
            others += _half(block).to(tl.float32) * xs[None, :]
    factor = 1.0
    if norm is not None:
        factor = tl.rsqrt(tl.sum(squares, 0) / width + eps)
    total = tl.sum(sums, 1) * factor
    if scale is not None:
        total *= tl.load(scale + rows, mask=inside, other=0.0)
    if bias is not None:
        total += tl.load(bias + rows, mask=inside, other=0.0).to(tl.float32)
    if second is not None:
        up = tl.sum(others, 1) * factor * tl.load(second_scale + rows, mask=inside, other=0.0)
        total = _gated(total, up)
    if ADD:
        total += tl.load(y + rows, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + rows, total.to(y.dtype.element_ty), mask=inside)


# Triton would compile anew for a number that is 1, or a multiple of 16
@triton.jit(do_not_specialize=["count"])
def few_rows(
    x,
    weight,
    scale,
    second,
    second_scale,
    bias,
    y,
    count,
    out,
    width,
    COUNT: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    EVEN: tl.constexpr,
    ADD: tl.constexpr,
):
    """``one_row`` for x (count, width), y (count, out), on the tensor cores; COUNT >= count."""
    tokens = tl.arange(0, COUNT)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    asked, inside = tokens < count, rows < out
    lines = rows[:, None].to(tl.int64) * width
    sums = tl.zeros((COUNT, ROWS), tl.float32)
    others = tl.zeros((COUNT, ROWS), tl.float32)
    for start in range(0, width, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        if EVEN:
            mask, given = inside[:, None], asked[:, None]
        else:
            there = columns < width
            mask, given = inside[:, None] & there[None, :], asked[:, None] & there[None, :]
        xs = tl.load(x + tokens[:, None] * width + columns[None, :], mask=given, other=0.0)
        places = lines + columns[None, :]
        block = tl.load(weight + places, mask=mask, other=0)
        sums = tl.dot(xs, tl.trans(_half(block)), sums)
        if second is not None:
            block = tl.load(second + places, mask=mask, other=0)
            others = tl.dot(xs, tl.trans(_half(block)), others)
    total = sums * tl.load(scale + rows, mask=inside, other=0.0)[None, :]
    if bias is not None:
        total += tl.load(bias + rows, mask=inside, other=0.0).to(tl.float32)[None, :]
    if second is not None:
        others *= tl.load(second_scale + rows, mask=inside, other=0.0)[None, :]
        total = _gated(total, others)
    places = y + tokens[:, None] * out + rows[None, :]
    mask = asked[:, None] & inside[None, :]
    if ADD:
        total += tl.load(places, mask=mask, other=0.0).to(tl.float32)
    tl.store(places, total.to(y.dtype.element_ty), mask=mask)


@triton.jit
def normalize(x, norm, y, width, eps, COLUMNS: tl.constexpr):
    """RMSNorm of x (n, width) into y, times norm (width,), a row a program; COLUMNS >= width."""
    row = tl.program_id(0).to(tl.int64) * width
    columns = tl.arange(0, COLUMNS)
    there = columns < width
    xs = tl.load(x + row + columns, mask=there, other=0.0).to(tl.float32)
    xs *= tl.rsqrt(tl.sum(xs * xs, 0) / width + eps)
    xs *= tl.load(norm + columns, mask=there, other=0.0).to(tl.float32)
    tl.store(y + row + columns, xs.to(y.dtype.element_ty), mask=there)


@triton.jit
def dequantize(weight, scale, y, width, COLUMNS: tl.constexpr):
    """y (out, width) float16 = weight (out, width) int8 * scale (out,), a row a program."""
    row = tl.program_id(0)
    factor = tl.load(scale + row)
    line = row.to(tl.int64) * width
    for start in range(0, width, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        block = tl.load(weight + line + columns, mask=columns < width, other=0)
        whole = _half(block).to(tl.float32) * factor
        tl.store(y + line + columns, whole.to(y.dtype.element_ty), mask=columns < width)


@triton.jit
def _turned(one, two, cosine, sine):
    """The halves of a head's numbers, turned by their position's angles (RoFormer, Su et al.)."""
    return one * cosine - two * sine, two * cosine + one * sine


@triton.jit
def _read_turned(place, cosine, sine, DIM: tl.constexpr):
    """The same of a head that begins at ``place``, where its first half is read: float32."""
    one = tl.load(place).to(tl.float32)
    two = tl.load(place + DIM // 2).to(tl.float32)
    return _turned(one, two, cosine, sine)


@triton.jit(do_not_specialize=["first"])
def rotate(
    qkv,
    keys,
    values,
    cosines,
    sines,
    first,
    length,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    DIM: tl.constexpr,
):
    """Turn queries and keys of qkv (n, (HEADS + 2 GROUPS) DIM) by their positions from ``first``.

    Queries in place; keys, and values as they are, go into keys and values (GROUPS, length, DIM).
    Grid: (n, HEADS + GROUPS). cosines, sines: (length, DIM / 2) float32.
    """
    token, head = tl.program_id(0), tl.program_id(1)
    half = tl.arange(0, DIM // 2)
    line = qkv + token.to(tl.int64) * ((HEADS + 2 * GROUPS) * DIM)
    position = first + token
    cosine = tl.load(cosines + position * (DIM // 2) + half)
    sine = tl.load(sines + position * (DIM // 2) + half)
    turned, turned_two = _read_turned(line + head * DIM + half, cosine, sine, DIM)
    if head < HEADS:
        place = line + head * DIM
    else:
        group = head - HEADS
        place = keys + (group.to(tl.int64) * length + position) * DIM
        whole = tl.arange(0, DIM)
        value = tl.load(line + (head + GROUPS) * DIM + whole)
        tl.store(values + (group.to(tl.int64) * length + position) * DIM + whole, value)
    tl.store(place + half, turned.to(qkv.dtype.element_ty))
    tl.store(place + DIM // 2 + half, turned_two.to(qkv.dtype.element_ty))


@triton.jit
def _looked_at(query, query_two, keys, values, places, there, DIM: tl.constexpr):
    """Scores (queries, BLOCK) of some cached tokens, -inf where none is, and their values."""
    half, whole = tl.arange(0, DIM // 2), tl.arange(0, DIM)
    at = places[:, None] * DIM
    k = tl.load(keys + at + half[None, :], mask=there[:, None], other=0.0)
    k_two = tl.load(keys + at + DIM // 2 + half[None, :], mask=there[:, None], other=0.0)
    v = tl.load(values + at + whole[None, :], mask=there[:, None], other=0.0)
    scores = tl.dot(query, tl.trans(k))
    scores = tl.dot(query_two, tl.trans(k_two), scores)
    return tl.where(there[None, :], scores, -float("inf")), v


@triton.jit
def _with_block(scores, v, top, weight, seen):
    """The softmax so far, and a block of scores (queries, BLOCK) and values (BLOCK, DIM) more: the
    highest score, what all weigh beside it, and the values by their weights."""
    higher = tl.maximum(top, tl.max(scores, 1))
    odds = tl.exp(scores - higher[:, None])
    fix = tl.exp(top - higher)
    seen = tl.dot(odds.to(v.dtype), v, seen * fix[:, None])
    return higher, weight * fix + tl.sum(odds, 1), seen


@triton.jit
def attend(
    qkv,
    keys,
    values,
    cosines,
    sines,
    positions,
    sums,
    tops,
    weights,
    length,
    splits,
    scaling,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    DIM: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Attention of one new token a row, over parts of what stands before it.

    qkv (rows, (HEADS + 2 GROUPS) DIM) not yet turned; keys, values (rows, GROUPS, length, DIM);
    positions (rows,): how many tokens the row holds. The first part also takes the new token in,
    and writes its key and value; a part that begins behind the row's end does nothing.
    Grid: (rows * GROUPS, splits). Out: sums (rows, HEADS, splits, DIM), tops and weights
    (rows, HEADS, splits), float32, for ``combine`` (FlashDecoding, Dao et al. 2023).
    """
    PADDED: tl.constexpr = 16  # queries, as many as the tensor cores take
    SHARE: tl.constexpr = HEADS // GROUPS
    row, group, split = tl.program_id(0) // GROUPS, tl.program_id(0) % GROUPS, tl.program_id(1)
    position = tl.load(positions + row)
    if (split == 0) | (split * CHUNK < position):
        queries, half, whole = tl.arange(0, PADDED), tl.arange(0, DIM // 2), tl.arange(0, DIM)
        own = (queries < SHARE)[:, None]
        line = qkv + row * ((HEADS + 2 * GROUPS) * DIM)
        cosine = tl.load(cosines + position * (DIM // 2) + half)
        sine = tl.load(sines + position * (DIM // 2) + half)
        heads = group * SHARE + queries
        place = line + heads[:, None] * DIM + half[None, :]
        one = tl.load(place, mask=own, other=0.0).to(tl.float32) * scaling
        two = tl.load(place + DIM // 2, mask=own, other=0.0).to(tl.float32) * scaling
        one, two = _turned(one, two, cosine[None, :], sine[None, :])
        query, query_two = one.to(qkv.dtype.element_ty), two.to(qkv.dtype.element_ty)

        new = line + (HEADS + group) * DIM + half
        own_one, own_two = _read_turned(new, cosine, sine, DIM)
        key, key_two = own_one.to(qkv.dtype.element_ty), own_two.to(qkv.dtype.element_ty)
        value = tl.load(line + (HEADS + GROUPS + group) * DIM + whole)
        cached = (row * GROUPS + group).to(tl.int64) * length * DIM
        is_first = split == 0
        there = cached + position * DIM
        tl.store(keys + there + half, key, mask=is_first)
        tl.store(keys + there + DIM // 2 + half, key_two, mask=is_first)
        tl.store(values + there + whole, value, mask=is_first)

        score = query.to(tl.float32) * key.to(tl.float32)[None, :]
        score += query_two.to(tl.float32) * key_two.to(tl.float32)[None, :]
        top = tl.where(is_first, tl.sum(score, 1), -float("inf"))
        weight = tl.where(is_first, tl.full((PADDED,), 1.0, tl.float32), 0.0)
        seen = tl.zeros((PADDED, DIM), tl.float32)
        seen += tl.where(is_first, value.to(tl.float32)[None, :], 0.0)
        for start in range(split * CHUNK, tl.minimum(split * CHUNK + CHUNK, position), BLOCK):
            places = start + tl.arange(0, BLOCK)
            before = places < position
            scores, v = _looked_at(
                query, query_two, keys + cached, values + cached, places, before, DIM
            )
            top, weight, seen = _with_block(scores, v, top, weight, seen)
        at = (row * HEADS + heads) * splits + split
        tl.store(sums + at[:, None].to(tl.int64) * DIM + whole[None, :], seen, mask=own)
        tl.store(tops + at, top, mask=queries < SHARE)
        tl.store(weights + at, weight, mask=queries < SHARE)


@triton.jit
def combine(
    sums,
    tops,
    weights,
    positions,
    y,
    splits,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    CHUNK: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """The parts of ``attend`` into y (rows, HEADS DIM); SPLITS >= splits. Grid: (rows * HEADS,)."""
    head = tl.program_id(0)
    position = tl.load(positions + head // HEADS)
    parts, whole = tl.arange(0, SPLITS), tl.arange(0, DIM)
    done = (parts == 0) | (parts * CHUNK < position)
    done = done & (parts < splits)
    at = head.to(tl.int64) * splits + parts
    top = tl.load(tops + at, mask=done, other=-float("inf"))
    share = tl.exp(top - tl.max(top, 0))
    total = tl.sum(share * tl.load(weights + at, mask=done, other=0.0), 0)
    seen = tl.load(sums + at[:, None] * DIM + whole[None, :], mask=done[:, None], other=0.0)
    answer = tl.sum(seen * share[:, None], 0) / total
    tl.store(y + head.to(tl.int64) * DIM + whole, answer.to(y.dtype.element_ty))
