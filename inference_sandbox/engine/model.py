"""The LLaMA architecture: RMSNorm, rotary embeddings, SwiGLU, grouped-query attention.

Parameters are named as in the original checkpoints. Every row of a batch has positions of its own,
so requests of different lengths share one forward pass. Shapes in comments: B rows, T new tokens
per row, L cached positions looked at, H query heads, K key/value heads, R = H / K, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float
    rope_theta: float
    max_seq_len: int
    tied: bool  # the output layer shares the embedding's weights

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads


class KVCache:
    """Keys and values of `rows` sequences, allocated once: [layers, rows, K, length, D] each."""

    def __init__(
        self, args: ModelArgs, *, rows: int, length: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (args.n_layers, rows, args.n_kv_heads, length, args.head_dim)
        # Zeros, not whatever was in memory: a masked position still meets a weight of 0, and
        # 0 × NaN is NaN.
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)

    def move(self, *, source: int, target: int, length: int) -> None:
        """Copy one row's first `length` positions over another row."""
        for cache in (self.keys, self.values):
            cache[:, target, :, :length] = cache[:, source, :, :length]


class Window:
    """The part of a cache that one forward pass writes and reads, and where its tokens stand."""

    def __init__(self, cache: KVCache, positions: Tensor, *, first_row: int, length: int) -> None:
        rows = positions.shape[0]
        self._rows = slice(first_row, first_row + rows)
        self._index = torch.arange(rows, device=positions.device).unsqueeze(-1)  # [B, 1]
        self._cache, self._positions, self._length = cache, positions, length

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [B, T, K, D] at the tokens' positions; views of all so far, [B, K, L, D]."""
        held_keys = self._cache.keys[layer, self._rows]
        held_values = self._cache.values[layer, self._rows]
        held_keys[self._index, :, self._positions] = keys
        held_values[self._index, :, self._positions] = values
        return held_keys[:, :, : self._length], held_values[:, :, : self._length]

    def mask(self, repeats: int) -> Tensor:
        """True where a token may look (itself and before), [B, 1, R·T, L]."""
        columns = torch.arange(self._length, device=self._positions.device)
        seen = columns <= self._positions.unsqueeze(-1)  # [B, T, L]
        return seen.repeat(1, repeats, 1).unsqueeze(1)


def rotation_table(args: ModelArgs) -> Tensor:
    """exp(i·position·frequency) as complex numbers, [max_seq_len, D / 2]."""
    exponents = torch.arange(0, args.head_dim, 2, dtype=torch.float32) / args.head_dim
    angles = torch.outer(
        torch.arange(args.max_seq_len, dtype=torch.float32), args.rope_theta**-exponents
    )
    return torch.polar(torch.ones_like(angles), angles)


def rotate(heads: Tensor, rotation: Tensor) -> Tensor:
    """Turn each pair (2i, 2i + 1) of [B, T, heads, D] by its position's angles [B, T, 1, D / 2]."""
    pairs = torch.view_as_complex(heads.float().reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).type_as(heads)


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # In float32 whatever the weights are: a sum of squares loses too much in bfloat16.
        normed = F.rms_norm(x.float(), self.weight.shape, eps=self.eps)
        return normed.type_as(x) * self.weight


class Attention(nn.Module):
    def __init__(self, args: ModelArgs, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, args.head_dim
        self.n_kv_heads, self.repeats = args.n_kv_heads, args.n_heads // args.n_kv_heads
        kv_dim = args.n_kv_heads * args.head_dim
        self.wq = nn.Linear(args.dim, args.dim, bias=False)
        self.wk = nn.Linear(args.dim, kv_dim, bias=False)
        self.wv = nn.Linear(args.dim, kv_dim, bias=False)
        self.wo = nn.Linear(args.dim, args.dim, bias=False)

    def forward(self, x: Tensor, rotation: Tensor, mask: Tensor, window: Window) -> Tensor:
        rows, time, dim = x.shape
        queries, keys, values = (
            linear(x).view(rows, time, -1, self.head_dim) for linear in (self.wq, self.wk, self.wv)
        )
        keys, values = window.update(self.layer, rotate(keys, rotation), values)
        # The R query heads that share a key head become R·T rows of one query matrix, so that
        # the cached keys are read in place and never repeated.
        split = (rows, time, self.n_kv_heads, self.repeats, self.head_dim)
        queries = rotate(queries, rotation).view(split).permute(0, 2, 3, 1, 4).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        mixed = mixed.view(rows, self.n_kv_heads, self.repeats, time, self.head_dim)
        return self.wo(mixed.permute(0, 3, 1, 2, 4).reshape(rows, time, dim))


class FeedForward(nn.Module):
    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.w1 = nn.Linear(args.dim, args.hidden_dim, bias=False)
        self.w2 = nn.Linear(args.hidden_dim, args.dim, bias=False)
        self.w3 = nn.Linear(args.dim, args.hidden_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    def __init__(self, args: ModelArgs, layer: int) -> None:
        super().__init__()
        self.attention = Attention(args, layer)
        self.feed_forward = FeedForward(args)
        self.attention_norm = RMSNorm(args.dim, args.norm_eps)
        self.ffn_norm = RMSNorm(args.dim, args.norm_eps)

    def forward(self, x: Tensor, rotation: Tensor, mask: Tensor, window: Window) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rotation, mask, window)
        return x + self.feed_forward(self.ffn_norm(x))


class Transformer(nn.Module):
    rotations: Tensor

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.args = args
        self.tok_embeddings = nn.Embedding(args.vocab_size, args.dim)
        self.layers = nn.ModuleList(Block(args, layer) for layer in range(args.n_layers))
        self.norm = RMSNorm(args.dim, args.norm_eps)
        self.output = nn.Linear(args.dim, args.vocab_size, bias=False)
        if args.tied:
            self.output.weight = self.tok_embeddings.weight

    @classmethod
    def from_weights(cls, args: ModelArgs, weights: Mapping[str, Tensor]) -> Transformer:
        """The model around these very tensors (no copy), ready to run where they are."""
        with torch.device("meta"):
            model = cls(args)
        shared = {"output.weight": weights["tok_embeddings.weight"]} if args.tied else {}
        model.load_state_dict({**weights, **shared}, strict=True, assign=True)
        if args.tied:  # assigning made two parameters of the one tensor
            model.output.weight = model.tok_embeddings.weight
        table = rotation_table(args).to(model.output.weight.device)
        model.register_buffer("rotations", table, persistent=False)
        return model.eval().requires_grad_(False)

    def forward(
        self, tokens: Tensor, positions: Tensor, window: Window, *, last_only: bool = True
    ) -> Tensor:
        """Logits in float32 after each token, or after the last one of each row.

        tokens, positions: [B, T]. Returns [B, vocabulary], or [B, T, vocabulary] if not last_only.
        """
        rotation = self.rotations[positions].unsqueeze(2)
        mask = window.mask(self.args.n_heads // self.args.n_kv_heads)
        x = self.tok_embeddings(tokens)
        for block in self.layers:
            x = block(x, rotation, mask, window)
        return self.output(self.norm(x[:, -1] if last_only else x)).float()
