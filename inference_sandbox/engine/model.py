"""The LLaMA architecture: RMSNorm, rotary embeddings, SwiGLU, grouped-query attention.

Weights come under the names of the original checkpoints. The model computes flat batches (see
`batch.Batch`) over the rows of a cache. Shapes in comments: N tokens, of whichever sequences, L
cached positions looked at, H query heads, K key/value heads, R = H / K, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from inference_sandbox.engine import memory
from inference_sandbox.engine.batch import Batch, Group, Piece
from inference_sandbox.engine.cache import KVCache
from inference_sandbox.engine.linear import Linear, make_linear
from inference_sandbox.engine.params import ModelArgs


def rotation_table(args: ModelArgs) -> Tensor:
    """exp(i·position·frequency) as complex numbers, [max_seq_len, D / 2]."""
    exponents = torch.arange(0, args.head_dim, 2, dtype=torch.float32) / args.head_dim
    angles = torch.outer(
        torch.arange(args.max_seq_len, dtype=torch.float32), args.rope_theta**-exponents
    )
    return torch.polar(torch.ones_like(angles), angles)


def rotate(heads: Tensor, rotation: Tensor) -> Tensor:
    """Turn each pair (2i, 2i + 1) of [N, heads, D] by its position's angles [N, heads, D / 2]."""
    pairs = torch.view_as_complex(heads.float().reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).type_as(heads)


class RMSNorm:
    """Scales [N, dim] to a mean square of 1, then by a weight [dim] (Zhang and Sennrich 2019).

    In float32 whatever the weights are: a sum of squares loses too much in bfloat16. Fewer and
    shorter operations than `F.rms_norm` makes of it on a CPU.
    """

    def __init__(self, weight: Tensor, eps: float) -> None:
        self._dtype = weight.dtype
        self.weight = weight.float()
        self.eps = eps
        self._eps = torch.tensor(eps, device=weight.device)

    def __call__(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        mean_square = torch.addcmul(self._eps, length, length, value=1 / x.shape[-1])
        return torch.mul(x, mean_square.rsqrt_()).mul_(self.weight).to(self._dtype)


# What a layer's weights are called, after `layers.N.`
OF_LAYER = (
    *(f"attention.{name}.weight" for name in ("wq", "wk", "wv", "wo")),
    *(f"feed_forward.{name}.weight" for name in ("w1", "w2", "w3")),
    *("attention_norm.weight", "ffn_norm.weight"),
)


class Layer:
    """One block. Products that read the same input are one product: wq, wk, wv, and w1, w3."""

    def __init__(
        self,
        args: ModelArgs,
        number: int,
        weights: Mapping[str, Tensor],
        *,
        int8: bool,
        keep_plain: bool,
    ) -> None:
        self.args, self.number = args, number

        def linear(*names: str) -> Linear:
            together = torch.cat([weights[f"{name}.weight"] for name in names])
            return make_linear(together, int8=int8, keep_plain=keep_plain)

        self.wqkv = linear("attention.wq", "attention.wk", "attention.wv")
        self.wo = linear("attention.wo")
        self.w13 = linear("feed_forward.w1", "feed_forward.w3")
        self.w2 = linear("feed_forward.w2")
        self.attention_norm = RMSNorm(weights["attention_norm.weight"], args.norm_eps)
        self.ffn_norm = RMSNorm(weights["ffn_norm.weight"], args.norm_eps)

    def __call__(
        self, x: Tensor, rotation: Tensor, places: Tensor, batch: Batch, cache: KVCache
    ) -> Tensor:
        """x: [N, dim], float32. rotation: [N, H + 2K, D / 2]."""
        args = self.args
        heads = self.wqkv(self.attention_norm(x)).view(x.shape[0], -1, args.head_dim)
        # Values are turned by nothing: one call for all three is quicker than two.
        heads = rotate(heads, rotation)
        cache.write(self.number, places, heads[:, args.n_heads :])
        queries = heads[:, : args.n_heads]
        mixed = [self._attend(queries[g.first : g.last], g, cache) for g in batch.groups]
        x = x + self.wo(mixed[0] if len(mixed) == 1 else torch.cat(mixed))
        gate, up = self.w13(self.ffn_norm(x)).chunk(2, -1)
        return x + self.w2(F.silu(gate).mul_(up))

    def _attend(self, queries: Tensor, group: Group, cache: KVCache) -> Tensor:
        """queries: [N, H, D] of the group's tokens. Returns [N, H·D]."""
        args = self.args
        rows = group.rows.stop - group.rows.start
        time = queries.shape[0] // rows
        # The R query heads that share a key head become R·T rows of one query matrix, so that
        # the cached keys are read in place and never repeated.
        keys, values = cache.read(self.number, group.rows, group.length)
        if time == 1:
            queries = queries.view(rows, args.n_kv_heads, args.repeats, args.head_dim)
            mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=group.mask)
            return mixed.reshape(rows, args.q_dim)
        split = (rows, time, args.n_kv_heads, args.repeats, args.head_dim)
        queries = queries.reshape(split).permute(0, 2, 3, 1, 4).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=group.mask)
        mixed = mixed.view(rows, args.n_kv_heads, args.repeats, time, args.head_dim)
        return mixed.permute(0, 3, 1, 2, 4).reshape(rows * time, args.q_dim)


class Transformer:
    def __init__(
        self,
        args: ModelArgs,
        weights: Mapping[str, Tensor],
        *,
        device: torch.device | str = "cpu",
        int8: bool = False,
    ) -> None:
        """weights: under their original names, all of one dtype, on any device; each is taken once."""
        self.args = args
        self.embeddings = weights["tok_embeddings.weight"].to(device)
        # A step of one row reads the weights as they are, others as oneDNN has packed them: both are
        # held where there is room.
        needed = args.n_params * self.dtype.itemsize
        self.keeps_plain = needed < memory.free_bytes(self.device) / 3
        self.layers = []
        for number in range(args.n_layers):
            start = f"layers.{number}."
            own = {name: weights[start + name].to(device) for name in OF_LAYER}
            self.layers.append(Layer(args, number, own, int8=int8, keep_plain=self.keeps_plain))
        self.norm = RMSNorm(weights["norm.weight"].to(device), args.norm_eps)
        output = self.embeddings if args.tied else weights["output.weight"].to(device)
        self.output = make_linear(output, int8=int8, keep_plain=self.keeps_plain)
        self.rotations = rotation_table(args).to(device)

    @property
    def device(self) -> torch.device:
        return self.embeddings.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embeddings.dtype

    def cache(self, *, rows: int, length: int) -> KVCache:
        args = self.args
        return KVCache(
            layers=args.n_layers,
            rows=rows,
            kv_heads=args.n_kv_heads,
            length=length,
            head_dim=args.head_dim,
            dtype=self.dtype,
            device=self.device,
        )

    def batch(self, pieces: Sequence[Piece]) -> Batch:
        return Batch(pieces, repeats=self.args.repeats, dtype=self.dtype, device=self.device)

    def __call__(self, batch: Batch, cache: KVCache) -> Tensor:
        """What the last layer makes of each token, normalised: [N, dim]. Fills the cache."""
        rotation = self._rotation(batch.positions)
        places = cache.places(batch.rows, batch.positions)
        # What the layers add up is float32 whatever the weights are: thirty sums rounded to bfloat16
        # would cost more accuracy than all products together.
        x = F.embedding(batch.tokens, self.embeddings).float()
        for layer in self.layers:
            x = layer(x, rotation, places, batch, cache)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """[N, dim] → [N, vocabulary], float32."""
        return self.output(hidden).float()

    @torch.inference_mode()
    def read(self, tokens: Sequence[int]) -> Tensor:
        """Logits after each token of one text, [tokens, vocabulary], with a cache of its own."""
        cache = self.cache(rows=1, length=len(tokens))
        return self.logits(self(self.batch([Piece(0, 0, tokens)]), cache))

    def _rotation(self, positions: Tensor) -> Tensor:
        """[N, H + 2K, D / 2]: the positions' angles for queries and keys, none for values."""
        args = self.args
        turned = self.rotations[positions].unsqueeze(1)
        turned = turned.expand(-1, args.n_heads + args.n_kv_heads, -1)
        still = torch.ones_like(turned[:, : args.n_kv_heads])
        return torch.cat([turned, still], 1)
