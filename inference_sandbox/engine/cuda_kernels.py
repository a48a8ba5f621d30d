"""Kernels of a GPU for steps in which each row has one token, in Triton.

At a few rows a step is as long as it takes to read the weights once, so each kernel reads as much
as it can between two launches: the norm before a product and what follows it are computed with it.
Shapes in comments: M rows (of the batch), N outputs, K inputs, D head size. What is added up is
float32 everywhere.

EARLY: the kernel is started while the one before it still runs (programmatic dependent launch, on
GPUs that have it), and waits for it where it first needs its results. Each of them waits before it
writes, so that nobody's inputs are overwritten.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def product_of_one(
    x,
    weight,
    scale,
    gain,
    out,
    eps,
    N,
    K: tl.constexpr,
    NORM: tl.constexpr,
    GATED: tl.constexpr,
    ADD: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EARLY: tl.constexpr,
):
    """out[N] = weight[N, K] · x[K], for one row.

    NORM: x is normalised first (RMSNorm with `gain`). GATED: weight is [2N, K], and out is
    silu(first half) · second half. ADD: out is added to. SCALED: weight is int8, times scale[N].
    """
    if EARLY:
        gdc_launch_dependents()
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = (n < N)[:, None]
    k = tl.arange(0, BLOCK_K)
    rows = weight + n.to(tl.int64)[:, None] * K + k[None, :]
    total = tl.zeros([BLOCK_N, BLOCK_K], tl.float32)
    other = tl.zeros([BLOCK_N, BLOCK_K], tl.float32)
    squares = tl.zeros([BLOCK_K], tl.float32)
    # The weights are read one piece ahead, the first before x is there.
    mask = inside & (k < K)[None, :]
    some = tl.load(rows, mask=mask, other=0.0)
    if GATED:
        others = tl.load(rows + N * K, mask=mask, other=0.0)
    if EARLY:
        gdc_wait()
    for start in tl.range(0, K, BLOCK_K):
        at = start + k
        piece = tl.load(x + at, mask=at < K, other=0.0).to(tl.float32)
        if NORM:
            squares += piece * piece
            piece *= tl.load(gain + at, mask=at < K, other=0.0)
        total += some.to(tl.float32) * piece[None, :]
        mask = inside & (at + BLOCK_K < K)[None, :]
        some = tl.load(rows + start + BLOCK_K, mask=mask, other=0.0)
        if GATED:
            other += others.to(tl.float32) * piece[None, :]
            others = tl.load(rows + N * K + start + BLOCK_K, mask=mask, other=0.0)
    inside = n < N
    result = tl.sum(total, 1)
    if SCALED:
        result *= tl.load(scale + n, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        length = tl.rsqrt(tl.sum(squares, 0) / K + eps)
        result *= length
    if GATED:
        up = tl.sum(other, 1)
        if SCALED:
            up *= tl.load(scale + N + n, mask=inside, other=0.0).to(tl.float32)
        if NORM:
            up *= length
        result = result * tl.sigmoid(result) * up
    if ADD:
        result += tl.load(out + n, mask=inside, other=0.0)
    tl.store(out + n, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def product_of_many(
    x,
    weight,
    scale,
    out,
    M,
    N,
    K: tl.constexpr,
    GATED: tl.constexpr,
    ADD: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """out[M, N] = x[M, K] · weight[N, K]ᵀ, for M up to BLOCK_M rows; the options as above."""
    m = tl.arange(0, BLOCK_M)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = n < N
    left = x + m[:, None] * K
    right = weight + n.to(tl.int64)[None, :] * K
    total = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    other = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for start in tl.range(0, K, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        within = k < K
        piece = tl.load(left + k[None, :], mask=(m < M)[:, None] & within[None, :], other=0.0)
        mask = within[:, None] & inside[None, :]
        some = tl.load(right + k[:, None], mask=mask, other=0.0).to(piece.dtype)
        total = tl.dot(piece, some, total, input_precision="ieee")
        if GATED:
            second = right + N * K
            some = tl.load(second + k[:, None], mask=mask, other=0.0).to(piece.dtype)
            other = tl.dot(piece, some, other, input_precision="ieee")
    if SCALED:
        total *= tl.load(scale + n, mask=inside, other=0.0).to(tl.float32)[None, :]
    if GATED:
        if SCALED:
            other *= tl.load(scale + N + n, mask=inside, other=0.0).to(tl.float32)[None, :]
        total = total * tl.sigmoid(total) * other
    places = out + m[:, None] * N + n[None, :]
    mask = (m < M)[:, None] & inside[None, :]
    if ADD:
        total += tl.load(places, mask=mask, other=0.0)
    tl.store(places, total.to(out.dtype.element_ty), mask=mask)


@triton.jit
def norm(x, gain, out, eps, K: tl.constexpr, BLOCK: tl.constexpr, EARLY: tl.constexpr):
    """RMSNorm of each row of x[M, K]."""
    if EARLY:
        gdc_launch_dependents()
        gdc_wait()
    row = tl.program_id(0)
    k = tl.arange(0, BLOCK)
    piece = tl.load(x + row * K + k, mask=k < K, other=0.0)
    piece *= tl.rsqrt(tl.sum(piece * piece, 0) / K + eps)
    piece *= tl.load(gain + k, mask=k < K, other=0.0)
    tl.store(out + row * K + k, piece.to(out.dtype.element_ty), mask=k < K)


@triton.jit
def turned(head, table, D: tl.constexpr):
    """One head [D], each pair (2i, 2i + 1) turned by its angle; table: [D / 2] cosines and sines."""
    d = tl.arange(0, D)
    cosine = tl.load(table + d // 2 * 2)
    sine = tl.load(table + d // 2 * 2 + 1)
    partner = tl.load(head + (d ^ 1)).to(tl.float32)
    return (
        tl.load(head + d).to(tl.float32) * cosine + tl.where(d % 2 == 0, -partner, partner) * sine
    )


@triton.jit
def attend(
    qkv,
    cache,
    table,
    rows,
    positions,
    mixed,
    parts,
    arrived,
    LENGTH,
    factor,
    H: tl.constexpr,
    KV: tl.constexpr,
    D: tl.constexpr,
    SPLIT: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    EARLY: tl.constexpr,
):
    """One head of one row over `SPLIT` positions; writes the row's new key and value to the cache.

    qkv: [M, H + 2·KV, D], not yet turned. cache: of this layer, [rows, 2·KV, LENGTH, D]. table:
    [positions, D / 2, 2]. factor: log2(e) / √D, as exp2 is what the processor has. A row at a
    position below 0 stands for nobody. The result goes to mixed [M, H, D]. With SPLITS > 1 each
    program leaves sums, their weight and its maximum in parts [M, H, SPLITS, D + 2], and the last
    to arrive, by the count in arrived [M, H], puts them together (Dao et al. 2023, Flash-Decoding).
    """
    if EARLY:
        gdc_launch_dependents()
    m, h, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    position = tl.load(positions + m).to(tl.int32)
    first = split * SPLIT
    if position < first:
        return
    d = tl.arange(0, D)
    own = h // (H // KV)
    place = (tl.load(rows + m).to(tl.int64) * 2 * KV + own) * LENGTH * D
    keys, values = cache + place, cache + place + KV * LENGTH * D
    end = tl.minimum(first + SPLIT, position)
    at = first + tl.arange(0, BLOCK)
    if EARLY:  # what earlier steps wrote can be read before this step's query is there
        some = at[:, None] * D + d[None, :]
        key = tl.load(keys + some, mask=(at < end)[:, None], other=0.0)
        value = tl.load(values + some, mask=(at < end)[:, None], other=0.0)
        gdc_wait()
    heads = qkv + m * (H + 2 * KV) * D
    angles = table + position * D
    query = turned(heads + h * D, angles, D) * factor
    top = tl.full([], float("-inf"), tl.float32)
    weight = tl.full([], 0.0, tl.float32)
    total = tl.zeros([D], tl.float32)
    if position < first + SPLIT:
        new_key = turned(heads + (H + own) * D, angles, D).to(cache.dtype.element_ty)
        new_value = tl.load(heads + (H + KV + own) * D + d).to(cache.dtype.element_ty)
        if h % (H // KV) == 0:
            tl.store(keys + position * D + d, new_key)
            tl.store(values + position * D + d, new_value)
        top = tl.sum(query * new_key.to(tl.float32), 0)
        weight = tl.full([], 1.0, tl.float32)
        total = new_value.to(tl.float32)
    if EARLY:
        tl.static_assert(SPLIT == BLOCK)
        top, weight, total = seen(query, key, value, at < end, top, weight, total)
    else:
        for start in tl.range(first, end, BLOCK):
            at = start + tl.arange(0, BLOCK)
            some = at[:, None] * D + d[None, :]
            key = tl.load(keys + some, mask=(at < end)[:, None], other=0.0)
            value = tl.load(values + some, mask=(at < end)[:, None], other=0.0)
            top, weight, total = seen(query, key, value, at < end, top, weight, total)
    result = mixed + (m * H + h) * D + d
    if SPLITS == 1:
        tl.store(result, (total / weight).to(mixed.dtype.element_ty))
    else:
        part = parts + (m * H + h) * SPLITS * (D + 2)
        tl.store(part + split * (D + 2) + d, total)
        tl.store(part + split * (D + 2) + D, weight)
        tl.store(part + split * (D + 2) + D + 1, top)
        tl.debug_barrier()
        count = position // SPLIT + 1
        if tl.atomic_add(arrived + m * H + h, 1, sem="acq_rel") == count - 1:
            tl.store(arrived + m * H + h, 0)
            tl.store(result, joined(part, count, D).to(mixed.dtype.element_ty))


@triton.jit
def seen(query, key, value, there, top, weight, total):
    """The softmax's running maximum, weight and sums with some more keys and values [BLOCK, D]."""
    score = tl.where(there, tl.sum(key.to(tl.float32) * query[None, :], 1), float("-inf"))
    higher = tl.maximum(top, tl.max(score, 0))
    shares = tl.exp2(score - higher)
    shrunk = tl.exp2(top - higher)
    total = total * shrunk + tl.sum(value.to(tl.float32) * shares[:, None], 0)
    return higher, weight * shrunk + tl.sum(shares, 0), total


@triton.jit
def joined(part, count, D: tl.constexpr):
    """What `attend` left in `count` parts, [D]."""
    d = tl.arange(0, D)
    top = tl.full([], float("-inf"), tl.float32)
    weight = tl.full([], 0.0, tl.float32)
    total = tl.zeros([D], tl.float32)
    for split in tl.range(0, count):
        one = part + split * (D + 2)
        its = tl.load(one + D + 1, cache_modifier=".cg")
        higher = tl.maximum(top, its)
        shrunk, its = tl.exp2(top - higher), tl.exp2(its - higher)
        total = total * shrunk + tl.load(one + d, cache_modifier=".cg") * its
        weight = weight * shrunk + tl.load(one + D, cache_modifier=".cg") * its
        top = higher
    return total / weight
