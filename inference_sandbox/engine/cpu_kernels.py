"""Kernels of a CPU for steps in which each row has one token, compiled by Numba.

Shapes in comments: M rows (of the batch), N outputs, K inputs, H query heads, KV key/value heads,
D head size. Weights and cache are float32, bfloat16 (as uint16, which NumPy has no type for) or
int8 with a scale for each output; all else is float32, and so is what is added up.
"""

import os
from typing import Any

import numpy as np
import torch

# As many threads as torch has: it is the same pool, whose size Numba would set to that of the machine.
os.environ.setdefault("NUMBA_NUM_THREADS", str(torch.get_num_threads()))

from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic, overload

# Sums may be taken in any order, as vectors do; infinities and NaN keep their meaning.
FAST = {"reassoc", "nsz", "contract", "arcp"}
OPTIONS: dict[str, Any] = {"fastmath": FAST, "nogil": True, "cache": True}


@intrinsic
def float_of_bits(typing, bits):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def bits_of_float(typing, value):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


def wide(value):
    """A weight or a cached number as float32."""
    raise NotImplementedError  # inside of kernels alone


@overload(wide, inline="always")
def _wide(value):
    if value == types.uint16:
        return lambda value: float_of_bits(np.int32(value) << np.int32(16))
    return lambda value: np.float32(value)


def put(target, place, value):
    """target[place] = value, rounded to what target holds."""
    raise NotImplementedError  # inside of kernels alone


@overload(put, inline="always")
def _put(target, place, value):
    if target.dtype == types.uint16:

        def rounded(target, place, value):
            bits = bits_of_float(np.float32(value))
            odd = (bits >> np.int32(16)) & np.int32(1)  # a tie goes to the even one
            target[place] = np.uint16((bits + np.int32(0x7FFF) + odd) >> np.int32(16))

        return rounded

    def plain(target, place, value):
        target[place] = value

    return plain


@njit(inline="always")
def exp(x):
    """e^x for x ≤ 0, to 2 units in the last place; in vectors, which the library's is not.

    2^(whole + part): the whole goes into the exponent's bits, the part in ±½ into a polynomial
    (Cephes, Moshier 1989).
    """
    x = max(x, np.float32(-87.0)) * np.float32(1.44269504)
    whole = np.floor(x + np.float32(0.5))
    part = (x - whole) * np.float32(0.693147181)
    series = np.float32(1.9875691500e-4)
    series = series * part + np.float32(1.3981999507e-3)
    series = series * part + np.float32(8.3334519073e-3)
    series = series * part + np.float32(4.1665795894e-2)
    series = series * part + np.float32(1.6666665459e-1)
    series = series * part + np.float32(5.0000001201e-1)
    series = series * part * part + part + np.float32(1.0)
    return series * float_of_bits((np.int32(whole) + np.int32(127)) << np.int32(23))


@njit(**OPTIONS)
def normalise(x, gain, eps, out):
    """RMSNorm of each row of x[M, K]."""
    rows, inputs = x.shape
    for m in range(rows):
        squares = np.float32(0)
        for k in range(inputs):
            squares += x[m, k] * x[m, k]
        length = np.float32(1) / np.sqrt(squares / np.float32(inputs) + eps)
        for k in range(inputs):
            out[m, k] = x[m, k] * length * gain[k]


@njit(inline="always", **OPTIONS)
def one_by_one(x, weight, m, n):
    total = np.float32(0)
    for k in range(x.shape[1]):
        total += x[m, k] * wide(weight[n, k])
    return total


@njit(**OPTIONS)
def four_by_four(x, weight, out, m, n):
    """Four rows with four outputs: each number is loaded once for four products."""
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = np.float32(0)
    c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = np.float32(0)
    for k in range(x.shape[1]):
        w0, w1 = wide(weight[n, k]), wide(weight[n + 1, k])
        w2, w3 = wide(weight[n + 2, k]), wide(weight[n + 3, k])
        a, b, c, d = x[m, k], x[m + 1, k], x[m + 2, k], x[m + 3, k]
        a0 += a * w0
        a1 += a * w1
        a2 += a * w2
        a3 += a * w3
        b0 += b * w0
        b1 += b * w1
        b2 += b * w2
        b3 += b * w3
        c0 += c * w0
        c1 += c * w1
        c2 += c * w2
        c3 += c * w3
        d0 += d * w0
        d1 += d * w1
        d2 += d * w2
        d3 += d * w3
    out[m, n], out[m, n + 1], out[m, n + 2], out[m, n + 3] = a0, a1, a2, a3
    out[m + 1, n], out[m + 1, n + 1], out[m + 1, n + 2], out[m + 1, n + 3] = b0, b1, b2, b3
    out[m + 2, n], out[m + 2, n + 1], out[m + 2, n + 2], out[m + 2, n + 3] = c0, c1, c2, c3
    out[m + 3, n], out[m + 3, n + 1], out[m + 3, n + 2], out[m + 3, n + 3] = d0, d1, d2, d3


@njit(parallel=True, **OPTIONS)
def multiply(x, weight, scale, out):
    """out[M, N] = x[M, K] · weight[N, K]ᵀ · scale[N]; an empty scale is 1."""
    rows, outputs = x.shape[0], weight.shape[0]
    fours = rows // 4 * 4
    for block in prange((outputs + 3) // 4):
        first = block * 4
        last = min(first + 4, outputs)
        done = 0
        if last - first == 4:
            for m in range(0, fours, 4):
                four_by_four(x, weight, out, m, first)
            done = fours
        for m in range(done, rows):
            for n in range(first, last):
                out[m, n] = one_by_one(x, weight, m, n)
        if scale.size:
            for m in range(rows):
                for n in range(first, last):
                    out[m, n] *= scale[n]


@njit(inline="always")
def turn(heads, m, head, angles, position, out):
    """One head [D], each pair (2i, 2i + 1) turned by its position's cosine and sine."""
    for pair in range(out.size // 2):
        cosine, sine = angles[position, pair, 0], angles[position, pair, 1]
        real, other = wide(heads[m, head, 2 * pair]), wide(heads[m, head, 2 * pair + 1])
        out[2 * pair] = real * cosine - other * sine
        out[2 * pair + 1] = real * sine + other * cosine


@njit(parallel=True, **OPTIONS)
def write(heads, cache, angles, rows, positions, query_heads):
    """Turn the new keys and put them and the values where they belong.

    heads: [M, H + 2·KV, D]. cache: of this layer, [rows, 2·KV, length, D]. angles: [positions,
    D / 2, 2].
    """
    size, kv_heads = heads.shape[2], cache.shape[1] // 2
    for item in prange(rows.size * kv_heads):
        m, own = item // kv_heads, item % kv_heads
        position = positions[m]
        key = np.empty(size, np.float32)
        turn(heads, m, query_heads + own, angles, position, key)
        for d in range(size):
            put(cache, (rows[m], own, position, d), key[d])
            value = wide(heads[m, query_heads + kv_heads + own, d])
            put(cache, (rows[m], kv_heads + own, position, d), value)


@njit(parallel=True, **OPTIONS)
def attend(heads, cache, angles, rows, positions, mixed, most):
    """What each query makes of its row's values up to its position: mixed [M, H, D].

    most: at least the highest position + 1.
    """
    size, kv_heads, query_heads = heads.shape[2], cache.shape[1] // 2, mixed.shape[1]
    factor = np.float32(1) / np.sqrt(np.float32(size))
    for item in prange(rows.size * query_heads):
        m, head = item // query_heads, item % query_heads
        row, own = rows[m], head // (query_heads // kv_heads)
        query, total = np.empty(size, np.float32), np.zeros(size, np.float32)
        scores = np.empty(most, np.float32)
        turn(heads, m, head, angles, positions[m], query)
        top = np.float32(-np.inf)
        seen = positions[m] + 1
        for t in range(seen):
            score = np.float32(0)
            for d in range(size):
                score += query[d] * wide(cache[row, own, t, d])
            scores[t] = score * factor
            top = max(top, scores[t])
        weight = np.float32(0)
        for t in range(seen):
            scores[t] = exp(scores[t] - top)
            weight += scores[t]
        for t in range(seen):
            share = scores[t]
            for d in range(size):
                total[d] += share * wide(cache[row, kv_heads + own, t, d])
        for d in range(size):
            mixed[m, head, d] = total[d] / weight


@njit(parallel=True, **OPTIONS)
def gate(gates_and_ups, out):
    """out[M, F] = silu(gate) · up, of [M, 2F]."""
    rows, width = gates_and_ups.shape[0], out.shape[1]
    for block in prange(rows * 4):
        m, first = block // 4, block % 4 * (width // 4)
        last = width if block % 4 == 3 else first + width // 4
        for n in range(first, last):
            value = wide(gates_and_ups[m, n])
            part = exp(-abs(value))  # silu(-v) = v · e^-v / (1 + e^-v), without overflow
            share = np.float32(1) if value >= 0 else part
            silu = value * share / (np.float32(1) + part)
            put(out, (m, n), silu * wide(gates_and_ups[m, width + n]))


@njit(**OPTIONS)
def add(x, more):
    """x[M, K] += more[M, K]."""
    for m in range(x.shape[0]):
        for k in range(x.shape[1]):
            x[m, k] += wide(more[m, k])


@njit(**OPTIONS)
def layer(weights, scales, gains, eps, x, cache, angles, rows, positions, most, room):
    """One block for x[M, K], in place. weights, scales: of wqkv, wo, w13, w2. gains: of both norms.

    room: for what is between, [M, …] of the widths of x, wqkv, the queries and the two of the feed-forward.
    """
    normed, qkv, mixed, both, hidden = room
    rows_of_x, size = x.shape[0], cache.shape[3]
    heads = qkv.reshape((rows_of_x, qkv.shape[1] // size, size))
    normalise(x, gains[0], eps, normed)
    multiply(normed, weights[0], scales[0], qkv)
    write(heads, cache, angles, rows, positions, mixed.shape[1] // size)
    attend(
        heads,
        cache,
        angles,
        rows,
        positions,
        mixed.reshape((rows_of_x, mixed.shape[1] // size, size)),
        most,
    )
    multiply(mixed, weights[1], scales[1], normed)
    add(x, normed)
    normalise(x, gains[1], eps, normed)
    multiply(normed, weights[2], scales[2], both)
    gate(both, hidden)
    multiply(hidden, weights[3], scales[3], normed)
    add(x, normed)
