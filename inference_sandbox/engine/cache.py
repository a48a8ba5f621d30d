"""The keys and values of all sequences: one row each, and rows kept for prompts that come again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# Tokens; less is soon computed, and in bfloat16 a short prompt then gets the same answer each time.
LEAST_PREFIX = 64


class KVCache:
    """[layers, rows, 2·K, length, D], allocated once: each row's keys, then its values.

    A position that was never written holds zeros, not whatever was in memory: a masked position
    still meets a weight of 0, and 0 × NaN is NaN.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        kv_heads: int,
        length: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        self.kv_heads, self.length = kv_heads, length
        shape = (layers, rows, 2 * kv_heads, length, head_dim)
        self.data = torch.zeros(shape, dtype=dtype, device=device)
        self._layers = self.data.unbind(0)
        self._flat = self.data.view(layers, -1, head_dim).unbind(0)

    @staticmethod
    def bytes_of_row(
        *, layers: int, kv_heads: int, length: int, head_dim: int, dtype: torch.dtype
    ) -> int:
        return layers * 2 * kv_heads * length * head_dim * dtype.itemsize

    def places(self, rows: Tensor, positions: Tensor) -> Tensor:
        """Where `write` puts the tokens at these positions of these rows, [N · 2K]."""
        heads = torch.arange(2 * self.kv_heads, device=rows.device)
        return (
            (rows.unsqueeze(-1) * (2 * self.kv_heads) + heads) * self.length
            + positions.unsqueeze(-1)
        ).flatten()

    def write(self, layer: int, places: Tensor, keys_and_values: Tensor) -> None:
        """keys_and_values: [N, 2K, D]."""
        flat = keys_and_values.reshape(-1, keys_and_values.shape[-1])
        self._flat[layer].index_copy_(0, places, flat)

    def read(self, layer: int, rows: slice, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values: views, [rows, K, length, D] each."""
        held = self._layers[layer][rows, :, :length]
        return held[:, : self.kv_heads], held[:, self.kv_heads :]

    def copy(self, *, source: int, target: int, length: int) -> None:
        """One row's first `length` positions over another row."""
        self.data[:, target, :, :length] = self.data[:, source, :, :length]

    def clear(self, row: int, length: int) -> None:
        """Zeros in a row's first `length` positions."""
        self.data[:, row, :, :length] = 0


class Prefix(NamedTuple):
    row: int
    length: int


@dataclass(eq=False)
class _Kept:
    row: int
    tokens: list[int]
    salt: str = ""
    used: int = 0


class KeptPrefixes:
    """What finished sequences left behind, for those that begin in the same way. No tensors.

    salt: only sequences of the same one share (vLLM's cache_salt).
    """

    def __init__(self, rows: Iterable[int], least: int = LEAST_PREFIX) -> None:
        self.least = least
        self._kept = [_Kept(row, []) for row in rows]
        self._clock = 0

    def find(
        self,
        tokens: Sequence[int],
        running: Iterable[tuple[int, Sequence[int]]],
        salt: str = "",
    ) -> Prefix | None:
        """The row that holds the longest beginning of `tokens`, short of the last one.

        running: rows of live sequences of this salt beside the kept ones, with the tokens read so
        far.
        """
        most = len(tokens) - 1  # the last token is computed in any case: its logits are wanted
        best = Prefix(-1, self.least - 1)
        for row, others in running:
            best = max(
                best, Prefix(row, _common(tokens, others, most, self.least)), key=lambda p: p.length
            )
        found: _Kept | None = None
        for kept in self._of(salt):
            if (length := _common(tokens, kept.tokens, most, self.least)) > best.length:
                best, found = Prefix(kept.row, length), kept
        if found:
            found.used = self._tick()
        return best if best.row >= 0 else None

    def keep(self, tokens: Sequence[int], salt: str = "") -> int | None:
        """The row into which to copy a finished sequence; None if it is not worth it."""
        if len(tokens) < self.least or not self._kept:
            return None
        for kept in self._of(salt):
            common = _common(tokens, kept.tokens, len(tokens), self.least)
            if common == len(tokens):
                kept.used = self._tick()
                return None  # there already
            if common == len(kept.tokens) and common:
                return self._put(kept, tokens, salt)  # it goes on from this one
        return self._put(min(self._kept, key=lambda kept: kept.used), tokens, salt)

    def _of(self, salt: str) -> list[_Kept]:
        return [kept for kept in self._kept if kept.salt == salt]

    def _put(self, kept: _Kept, tokens: Sequence[int], salt: str) -> int:
        kept.tokens, kept.salt, kept.used = list(tokens), salt, self._tick()
        return kept.row

    def forget(self) -> None:
        for kept in self._kept:
            kept.tokens = []

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def _common(ours: Sequence[int], others: Sequence[int], most: int, least: int) -> int:
    """How many tokens the two have in common at their beginning, at most `most`; 0 below `least`."""
    most = min(most, len(others))
    if most < least or ours[:least] != others[:least]:
        return 0
    low, high = least, most  # slices are compared in C: a search by halves is the quickest
    while low < high:
        middle = (low + high + 1) // 2
        if ours[low:middle] == others[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
