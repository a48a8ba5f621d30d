"""Steps in which each row has one token, on a CPU.

One row, or any few whose weights oneDNN does not multiply as they are: a layer is one call of a
compiled kernel, which reads the weights once as they are. More rows: the products are oneDNN's,
which has better instructions for them, and the rest is ours, in few calls instead of some twenty.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inference_sandbox.engine import cpu_kernels as kernels
from inference_sandbox.engine.batch import Batch, Piece
from inference_sandbox.engine.cache import KVCache
from inference_sandbox.engine.linear import multiplies_bfloat16

if TYPE_CHECKING:
    from inference_sandbox.engine.linear import Linear
    from inference_sandbox.engine.model import Layer, Transformer

# Beyond them it is better to widen the weights for oneDNN.
MOST_INT8_ROWS = 64
MOST_BFLOAT16_ROWS = 12  # where the processor has no instructions for bfloat16
NOTHING = np.empty(0, np.float32)
# One of Numba's ways to run threads, the one where there is no OpenMP, is for one caller at a time.
one_at_a_time = Lock()


def as_numpy(tensor: Tensor) -> Any:
    """The same memory; bfloat16 as uint16."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


class CompiledSteps:
    """Computes what `Transformer` does, for batches that `takes` allows."""

    def __init__(self, model: Transformer, cache: KVCache) -> None:
        self._model = model
        self._cache = [as_numpy(one) for one in cache.data.unbind(0)]
        self._angles = as_numpy(torch.view_as_real(model.rotations))
        self._int8 = model.output.scale is not None
        self._most = self._most_rows()
        self._layers = [self._arrays(layer) for layer in model.layers] if model.keeps_plain else []
        self._output = as_numpy(model.output.weight), self._scale(model.output)
        self._gain, self._eps = as_numpy(model.norm.weight), np.float32(model.args.norm_eps)
        for size in (1, 2):  # both ways are compiled, or taken from where they were kept
            batch = model.batch([Piece(row, 0, [0]) for row in range(size)])
            if self.takes(batch):
                self(batch, ahead=False)
        cache.data[:, :2, :, 0] = 0

    def _arrays(self, layer: Layer) -> tuple[Any, Any, Any]:
        linears = (layer.wqkv, layer.wo, layer.w13, layer.w2)
        return (
            tuple(as_numpy(linear.weight) for linear in linears),
            tuple(self._scale(linear) for linear in linears),
            (as_numpy(layer.attention_norm.weight), as_numpy(layer.ffn_norm.weight)),
        )

    @staticmethod
    def _scale(linear: Linear) -> Any:
        return NOTHING if linear.scale is None else as_numpy(linear.scale.float())

    def _most_rows(self) -> int:
        """How many rows a kernel computes together."""
        if self._int8:
            return MOST_INT8_ROWS
        is_slow = self._model.dtype == torch.bfloat16 and not multiplies_bfloat16()
        return MOST_BFLOAT16_ROWS if is_slow else 1

    def takes(self, batch: Batch) -> bool:
        if self._by_kernel(batch):
            return batch.is_step and bool(self._layers)
        return batch.is_step and not self._int8

    def _by_kernel(self, batch: Batch) -> bool:
        return len(batch.pieces) <= self._most

    def forget(self) -> None:
        """Nothing runs ahead here."""

    def beside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __call__(self, batch: Batch, *, ahead: bool) -> tuple[Tensor, Tensor]:
        """hidden [N, dim] and logits [N, vocabulary]."""
        model, pieces = self._model, batch.pieces
        x = F.embedding(batch.tokens, model.embeddings).float()
        rows = np.array([piece.row for piece in pieces])
        positions = np.array([piece.start for piece in pieces])
        with one_at_a_time:
            if self._by_kernel(batch):
                return self._by_kernels(x, rows, positions)
            return self._by_products(x, rows, positions)

    def _by_kernels(self, x: Tensor, rows: Any, positions: Any) -> tuple[Tensor, Tensor]:
        array, count = x.numpy(), len(rows)
        args = self._model.args
        heads = args.n_heads + 2 * args.n_kv_heads
        widths = (args.dim, heads * args.head_dim, args.q_dim, 2 * args.hidden_dim, args.hidden_dim)
        room = tuple(np.empty((count, width), np.float32) for width in widths)
        most = int(positions.max()) + 1
        for (weights, scales, gains), cache in zip(self._layers, self._cache, strict=True):
            kernels.layer(
                *(weights, scales, gains, self._eps, array, cache, self._angles),
                *(rows, positions, most, room),
            )
        kernels.normalise(array, self._gain, self._eps, room[0])
        logits = np.empty((count, args.vocab_size), np.float32)
        kernels.multiply(room[0], *self._output, logits)
        return torch.from_numpy(room[0]).to(self._model.dtype), torch.from_numpy(logits)

    def _by_products(self, x: Tensor, rows: Any, positions: Any) -> tuple[Tensor, Tensor]:
        model, args = self._model, self._model.args
        count, heads = len(rows), args.n_heads + 2 * args.n_kv_heads
        most = int(positions.max()) + 1
        mixed = np.empty((count, args.n_heads, args.head_dim), np.float32)
        hidden = torch.empty(count, args.hidden_dim, dtype=model.dtype)
        for layer, cache in zip(model.layers, self._cache, strict=True):
            qkv = as_numpy(layer.wqkv(layer.attention_norm(x))).reshape(count, heads, -1)
            kernels.write(qkv, cache, self._angles, rows, positions, args.n_heads)
            kernels.attend(qkv, cache, self._angles, rows, positions, mixed, most)
            x += layer.wo(torch.from_numpy(mixed).view(count, -1).to(model.dtype))
            kernels.gate(as_numpy(layer.w13(layer.ffn_norm(x))), as_numpy(hidden))
            x += layer.w2(hidden)
        normed = model.norm(x)
        return normed, model.logits(normed)
