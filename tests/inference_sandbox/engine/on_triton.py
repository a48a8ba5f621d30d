"""Run by `test_cuda_steps.py` in an environment that has Triton, on a CPU: prints what it found as JSON.

python -m tests.inference_sandbox.engine.on_triton interpret|compile
"""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import replace
from typing import Any

if sys.argv[1] == "interpret":
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from benchmarks.engine_on_gpu import NoWords
from inference_sandbox.engine import cuda_kernels
from inference_sandbox.engine.batch import Piece
from inference_sandbox.engine.cuda_steps import (
    ATTENTION_OF_MANY,
    ATTENTION_OF_ONE,
    MANY,
    ONE,
    GraphedSteps,
)
from inference_sandbox.engine.engine import Engine, SamplingParams
from inference_sandbox.engine.model import Transformer
from inference_sandbox.engine.params import args_from_params
from tests.inference_sandbox.engine.releases import weights_of

PARAMS = {
    "dim": 32,
    "n_layers": 1,
    "n_heads": 2,
    "vocab_size": 100,
    "multiple_of": 32,
    "max_seq_len": 512,
}
PROMPTS = [
    [3, 1, 4],
    [number % 100 for number in range(140)],
    [9],
]  # the second one is longer than a split


class Words(NoWords):
    eos_ids = frozenset({7})


def model(
    kv_heads: int, dtype: torch.dtype, *, int8: bool = False, head_dim: int = 16
) -> Transformer:
    args = args_from_params({**PARAMS, "n_kv_heads": kv_heads}, None)
    args = replace(args, head_dim=head_dim)
    weights = {name: tensor.to(dtype) for name, tensor in weights_of(args).items()}
    return Transformer(args, weights, int8=int8)


def error(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())


@torch.inference_mode()
def step(
    kv_heads: int,
    dtype: torch.dtype,
    rows: list[int],
    *,
    int8: bool = False,
    head_dim: int = 16,
) -> dict[str, float]:
    """How far the kernels are from the model: the logits, and what is in the cache after it."""
    own = model(kv_heads, dtype, int8=int8, head_dim=head_dim)
    theirs, ours = own.cache(rows=6, length=300), own.cache(rows=6, length=300)
    for row, prompt in enumerate(PROMPTS):
        own(own.batch([Piece(row, 0, prompt)]), theirs)
    ours.data.copy_(theirs.data)
    batch = own.batch([Piece(row, len(PROMPTS[row]), [5 + row]) for row in rows])
    logits = own.logits(own(batch, theirs))
    _, found = GraphedSteps(own, ours, most_rows=4)(batch, ahead=False)
    return {"logits": error(found, logits), "cache": error(ours.data, theirs.data)}


def answers(own: Transformer, *, by_kernels: bool) -> dict[str, list[int]]:
    """A few requests that come and go, some of them sampled, one cancelled."""
    engine = Engine(own, Words(), max_batch=4, max_len=200)
    engine._steps = GraphedSteps(own, engine._cache, most_rows=4) if by_kernels else None
    rng = random.Random(5)
    told: dict[str, list[int]] = {}
    while len(told) < 7 or engine.has_work:
        if len(told) < 7 and rng.random() < 0.4:
            name = str(len(told))
            params = SamplingParams(
                max_tokens=rng.randint(2, 6),
                temperature=rng.choice([0, 0, 0.8]),
                seed=len(told),
                repetition_penalty=rng.choice([1, 1.3]),
                repeatable=name == "3",
            )
            engine.add(name, [rng.randrange(100) for _ in range(rng.randint(1, 20))], params)
            told[name] = []
            if name == "5":
                engine.cancel("4")
        for output in engine.step():
            if output.token is not None:
                told[output.request_id].append(output.token)
    return told


def interpret() -> dict[str, Any]:
    single, bfloat16 = torch.float32, torch.bfloat16
    alike = model(1, single)
    return {
        "one row": step(2, single, [0]),
        "one long row": step(2, single, [1]),
        "three rows": step(2, single, [0, 1, 2]),
        "heads that share keys": step(1, single, [0, 1, 2]),
        "larger heads": step(1, single, [0, 1, 2], head_dim=32),
        "larger heads, one row": step(2, single, [0], head_dim=32),
        "int8, one row": step(2, single, [0], int8=True),
        "int8, three rows": step(2, single, [0, 1, 2], int8=True),
        "bfloat16, one row": step(2, bfloat16, [0]),
        "answers": [answers(alike, by_kernels=True), answers(alike, by_kernels=False)],
    }


def compiled(
    kernel: Any, pointers: str, numbers: str, constants: dict[str, Any], **options: int
) -> int:
    """Compile for an H100 and return the length of its code. pointers: `name:type name:type …`"""
    kinds = {"f": "*fp32", "b": "*bf16", "i": "*i8", "l": "*i64", "n": "*i32"}
    types = {name: kinds[kind] for name, kind in (one.split(":") for one in pointers.split())}
    types |= {name: "fp32" if name in ("eps", "factor") else "i32" for name in numbers.split()}
    types |= dict.fromkeys(constants, "constexpr")
    made = triton.compile(
        ASTSource(kernel, types, constants), target=GPUTarget("cuda", 90, 32), options=options
    )
    return len(made.asm["cubin"])


def compile_all() -> dict[str, int]:
    """Each kernel as LLaMA 7B has it: the interpreter overlooks what the compiler refuses."""
    sizes = {"H": 32, "KV": 32, "D": 128}
    attention = "qkv:b cache:b table:f rows:l positions:l mixed:b parts:f arrived:n"
    one, many = ATTENTION_OF_ONE, ATTENTION_OF_MANY
    lengths = [{"SPLIT": one.inputs, "SPLITS": 5, "BLOCK": one.inputs, "EARLY": True}]
    lengths.append({"SPLIT": 1024, "SPLITS": 1, "BLOCK": many.inputs, "EARLY": False})
    code = {
        f"attend {number}": compiled(
            cuda_kernels.attend, attention, "LENGTH factor", sizes | length
        )
        for number, length in enumerate(lengths)
    }
    flags = {"K": 4096, "NORM": True, "GATED": True, "ADD": False, "SCALED": True, "EARLY": True}
    tiles = {"BLOCK_N": ONE["w13"].outputs, "BLOCK_K": ONE["w13"].inputs}
    code["product_of_one"] = compiled(
        cuda_kernels.product_of_one, "x:f weight:i scale:b gain:f out:b", "eps N", flags | tiles
    )
    flags = {"K": 11008, "GATED": False, "ADD": True, "SCALED": False}
    tiles = {"BLOCK_M": 64, "BLOCK_N": MANY.outputs, "BLOCK_K": MANY.inputs}
    code["product_of_many"] = compiled(
        cuda_kernels.product_of_many,
        "x:b weight:b scale:b out:f",
        "M N",
        flags | tiles,
        num_stages=MANY.stages,
    )
    flags = {"K": 4096, "BLOCK": 4096, "EARLY": False}
    code["norm"] = compiled(cuda_kernels.norm, "x:f gain:f out:b", "eps", flags)
    return code


if __name__ == "__main__":
    print(json.dumps(interpret() if sys.argv[1] == "interpret" else compile_all()))
