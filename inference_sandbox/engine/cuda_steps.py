"""Steps in which each row has one token, on a GPU: the kernels of a whole step as one CUDA graph.

A step of few rows is some two hundred short kernels, and starting them one by one from Python takes
longer than running them. A graph is recorded once for each size of batch (a power of two) and then
replayed: tokens, rows and positions are read from memory, so that the same graph serves every step.

The graph ends by writing each row's likeliest token and next position where it read them. Where
everybody takes the likeliest token anyway, the next step can so begin before Python has heard of
this one's result (`ahead`); should the batch turn out to be another, that work is lost, and what it
wrote to the cache is written again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from inference_sandbox.engine import cuda_kernels as kernels
from inference_sandbox.engine.batch import Batch, Piece
from inference_sandbox.engine.cache import KVCache
from inference_sandbox.engine.linear import Linear

if TYPE_CHECKING:
    from inference_sandbox.engine.model import Layer, RMSNorm, Transformer

MOST_ROWS = 64  # the kernels hold all rows of a product at once
NOBODY = -1  # the position of a row that only fills up the graph's size


@dataclass(frozen=True)
class Tiles:
    """How much of a product one program computes: outputs, and inputs at a time."""

    outputs: int
    inputs: int
    warps: int
    stages: int = 1  # pieces of the inputs that are on their way at a time


# Found by benchmarks/gpu_tiles.py on an H200; the products by their names in the model.
ONE = {
    "wqkv": Tiles(outputs=8, inputs=512, warps=2),
    "wo": Tiles(outputs=8, inputs=1024, warps=4),
    "w13": Tiles(outputs=2, inputs=1024, warps=2),
    "w2": Tiles(outputs=8, inputs=1024, warps=4),
    "output": Tiles(outputs=8, inputs=512, warps=2),
}
MANY = Tiles(outputs=32, inputs=128, warps=4, stages=5)
MANY_GATED = Tiles(outputs=32, inputs=64, warps=4, stages=3)
# inputs: positions of the cache
ATTENTION_OF_ONE = Tiles(outputs=1, inputs=128, warps=8)
ATTENTION_OF_MANY = Tiles(outputs=1, inputs=64, warps=4)


class GraphedSteps:
    """Computes what `Transformer` does, for batches that `takes` allows."""

    def __init__(self, model: Transformer, cache: KVCache, *, most_rows: int) -> None:
        self._length = cache.length
        most = min(most_rows, MOST_ROWS)
        self._sizes = [1 << power for power in range((most - 1).bit_length() + 1)]
        # The large ones first: what the smaller ones need then lies in the same memory.
        self._recorded = {size: Recorded(model, cache, size) for size in reversed(self._sizes)}
        self._ahead: Recorded | None = None  # whose next step has begun
        self._beside = torch.cuda.Stream() if model.device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def takes(self, batch: Batch) -> bool:
        return batch.is_step and len(batch.pieces) <= self._sizes[-1]

    def forget(self) -> None:
        """A row of the cache changes hands: what has begun for it must not be taken for another's."""
        self._ahead = None

    def __call__(self, batch: Batch, *, ahead: bool) -> tuple[Tensor, Tensor]:
        """hidden [N, dim] and logits [N, vocabulary]. ahead: begin the step after it, too."""
        size = next(size for size in self._sizes if size >= len(batch.pieces))
        recorded = self._recorded[size]
        if self._ahead is not recorded or not recorded.has_begun(batch.pieces):
            recorded.begin(batch.pieces)
        results = recorded.results(len(batch.pieces))
        self._ahead = None
        if ahead and recorded.may_go_on(batch.pieces, self._length):
            recorded.go_on()
            self._ahead = recorded
        return results

    @contextmanager
    def beside(self) -> Iterator[None]:
        """For choosing tokens: what is run in here does not wait for the step that has begun."""
        if self._ahead is None or self._beside is None:
            yield
            return
        self._beside.wait_event(self._ahead.done)
        with torch.cuda.stream(self._beside):
            yield


class Recorded:
    """A step of `size` rows, recorded."""

    def __init__(self, model: Transformer, cache: KVCache, size: int) -> None:
        self._size, self._model = size, model
        self._inputs = torch.zeros(3, size, dtype=torch.long, device=model.device)
        self._inputs[2].fill_(NOBODY)
        self._step = Step(model, cache, self._inputs)
        self._next: list[tuple[int, int]] = []  # rows and positions of the step that has begun
        self._graph: Any = None
        self._hidden, self._logits = self._run()  # compiles
        if model.device.type != "cuda":
            return  # Triton's interpreter, in tests
        # What the host hears of each step, without waiting for what comes behind it.
        self._told = torch.zeros(size, dtype=torch.long, pin_memory=True)
        self.done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._hidden, self._logits = self._run()

    def _run(self) -> tuple[Tensor, Tensor]:
        hidden, logits = self._step()
        self._inputs[0].copy_(logits.argmax(-1))
        self._inputs[2].add_((self._inputs[2] >= 0).long())
        return hidden, logits

    def begin(self, pieces: list[Piece]) -> None:
        rows = [(piece.tokens[0], piece.row, piece.start) for piece in pieces]
        rows += [(0, 0, NOBODY)] * (self._size - len(rows))
        self._inputs.copy_(torch.tensor(list(zip(*rows, strict=True))))
        self.go_on()

    def go_on(self) -> None:
        if self._graph is None:
            self._hidden, self._logits = self._run()
        else:
            self._graph.replay()

    def results(self, count: int) -> tuple[Tensor, Tensor]:
        hidden, logits = self._hidden[:count].clone(), self._logits[:count].clone()
        if self._graph is not None:
            self._told.copy_(self._inputs[0], non_blocking=True)
            self.done.record()
        return hidden, logits

    def may_go_on(self, pieces: list[Piece], length: int) -> bool:
        """Whether the cache has room for one more token of each; notes which step that will be."""
        self._next = [(piece.row, piece.start + 1) for piece in pieces]
        return self._graph is not None and all(piece.start + 1 < length for piece in pieces)

    def has_begun(self, pieces: list[Piece]) -> bool:
        told = self._told.tolist()  # of a step whose result has been read: it is there
        places = [(piece.row, piece.start) for piece in pieces]
        return places == self._next and [p.tokens[0] for p in pieces] == told[: len(pieces)]


class Step:
    """One forward pass of `size` rows with one token each, kernel by kernel."""

    def __init__(self, model: Transformer, cache: KVCache, inputs: Tensor) -> None:
        """inputs: [3, size], of tokens, rows of the cache and positions."""
        self._model, self._cache, self._args = model, cache, model.args
        self._tokens, self._rows, self._positions = inputs.unbind(0)
        self._size = inputs.shape[1]
        self._split = self._split_length()
        self._splits = math.ceil(cache.length / self._split)
        shape = (self._size, self._args.n_heads, self._splits, self._args.head_dim + 2)
        self._parts = torch.zeros(shape if self._splits > 1 else (1,), device=model.device)
        self._arrived = torch.zeros(shape[:2], dtype=torch.int32, device=model.device)
        self._angles = torch.view_as_real(model.rotations)
        self._launch: dict[str, Any] = {"EARLY": False}
        # With many rows the kernels that wait would take the place of those that work.
        if (
            self._size == 1
            and model.device.type == "cuda"
            and torch.cuda.get_device_capability(model.device) >= (9, 0)
        ):
            self._launch = {"EARLY": True, "launch_pdl": True}

    def _split_length(self) -> int:
        """Few rows are attended to by many programs each, so that every processor has work."""
        least = ATTENTION_OF_ONE.inputs
        if self._size == 1:
            return least
        length = max(least, triton.next_power_of_2(self._size * self._args.n_heads) * 4)
        return min(length, triton.next_power_of_2(self._cache.length))

    def __call__(self) -> tuple[Tensor, Tensor]:
        """hidden [size, dim] and logits [size, vocabulary], float32."""
        model = self._model
        x = F.embedding(self._tokens, model.embeddings).float()
        for layer in model.layers:
            qkv = self._product("wqkv", layer.wqkv, x, layer.attention_norm)
            mixed = self._attend(layer, qkv)
            self._product("wo", layer.wo, mixed, out=x)
            hidden = self._product("w13", layer.w13, x, layer.ffn_norm)
            self._product("w2", layer.w2, hidden, out=x)
        hidden = self._normalised(x, model.norm)
        logits = torch.empty(self._size, model.args.vocab_size, device=x.device)
        return hidden, self._product("output", model.output, hidden, out=logits)

    def _normalised(self, x: Tensor, norm: RMSNorm) -> Tensor:
        out = torch.empty_like(x, dtype=self._model.dtype)
        width = x.shape[1]
        kernels.norm[(x.shape[0],)](
            *(x, norm.weight, out, norm.eps),
            K=width,
            BLOCK=triton.next_power_of_2(width),
            num_warps=8,
            **self._launch,
        )
        return out

    def _product(
        self,
        name: str,
        linear: Linear,
        x: Tensor,
        norm: RMSNorm | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """[size, in] → [size, out]; see the kernels."""
        gated, add = name == "w13", name in ("wo", "w2")
        weight, scale = linear.weight, linear.scale
        outputs, inputs = weight.shape[0] // (2 if gated else 1), weight.shape[1]
        if out is None:
            out = torch.empty(self._size, outputs, dtype=self._model.dtype, device=x.device)
        options: dict[str, Any] = {"K": inputs, "GATED": gated, "ADD": add}
        options["SCALED"] = scale is not None
        scale = weight if scale is None else scale  # a place that nobody reads
        if self._size == 1:
            tiles = ONE[name]
            gain, eps = (norm.weight, norm.eps) if norm else (weight, 0.0)
            kernels.product_of_one[(triton.cdiv(outputs, tiles.outputs),)](
                *(x, weight, scale, gain, out, eps, outputs),
                **options,
                **self._launch,
                NORM=norm is not None,
                BLOCK_N=tiles.outputs,
                BLOCK_K=tiles.inputs,
                num_warps=tiles.warps,
            )
            return out
        tiles = MANY_GATED if gated else MANY
        x = self._normalised(x, norm) if norm else x
        kernels.product_of_many[(triton.cdiv(outputs, tiles.outputs),)](
            *(x, weight, scale, out, self._size, outputs),
            **options,
            BLOCK_M=max(16, self._size),
            BLOCK_N=tiles.outputs,
            BLOCK_K=tiles.inputs,
            num_warps=tiles.warps,
            num_stages=tiles.stages,
        )
        return out

    def _attend(self, layer: Layer, qkv: Tensor) -> Tensor:
        args, splits = self._args, self._splits
        mixed = torch.empty(self._size, args.q_dim, dtype=qkv.dtype, device=qkv.device)
        sizes = {"H": args.n_heads, "D": args.head_dim, "SPLIT": self._split, "SPLITS": splits}
        tiles = ATTENTION_OF_ONE if self._size == 1 else ATTENTION_OF_MANY
        kernels.attend[(self._size, args.n_heads, splits)](
            *(qkv, self._cache.data[layer.number], self._angles, self._rows, self._positions),
            *(mixed, self._parts, self._arrived),
            *(self._cache.length, math.log2(math.e) / args.head_dim**0.5),
            **sizes,
            **self._launch,
            KV=args.n_kv_heads,
            BLOCK=tiles.inputs,
            num_warps=tiles.warps,
        )
        return mixed
