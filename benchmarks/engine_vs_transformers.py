"""Decoding speed of the engine beside Hugging Face transformers and llama.cpp, on the same weights.

    python -m benchmarks.engine_vs_transformers FOLDER [--dtype float32] [--batch 8] [--rounds 5] [--tokens 64]

FOLDER is a release in the original layout (`python -m demo.weights FOLDER` makes one; llama.cpp always has the demo
model, so leave it out with `--without-llama-cpp` for another). All of them take turns, so that whatever else the
machine does hits all; the table gives medians. Each figure is decoding alone, all rows together, and for all of them it
is the time for N + 1 tokens less the time for one, which reads the prompt.

llama.cpp stands beside float32 in F32, beside bfloat16 in F16, and beside int8 as it is shipped (Q4_1). It has as many
threads as torch, and first shows by its greedy text that it is the same model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

import torch
from transformers import LlamaForCausalLM

from benchmarks.beside_llama_cpp import OF_DTYPE, LlamaCpp, llama_cpp
from benchmarks.in_transformers import to_transformers
from inference_sandbox.engine.checkpoint import load_checkpoint
from inference_sandbox.engine.engine import DTYPES, Engine, SamplingParams

BATCHES = (1, 8, 32)
# Greedy tokens that are compared to show the same weights, and of which so many must be equal.
COMPARED, ALIKE = 24, 8
PROMPT = "The history of the lighthouse begins with fires on hilltops, and"


def run_ours(engine: Engine, prompt: list[int], rows: int, tokens: int) -> None:
    params = SamplingParams(max_tokens=tokens, ignore_eos=True)
    for row in range(rows):
        engine.add(str(row), prompt, params)
    while engine.has_work:
        engine.step()


@torch.inference_mode()
def run_theirs(model: LlamaForCausalLM, prompt: list[int], rows: int, tokens: int) -> None:
    ids = torch.tensor([prompt] * rows, device=model.device)
    model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        pad_token_id=0,
    )


def run_llama_cpp(peer: LlamaCpp, prompt: list[int], rows: int, tokens: int) -> None:
    peer.run([(prompt, tokens)] * rows)


Run = Callable[[int], None]  # argument: how many tokens


def decoding_seconds(run: Run, tokens: int) -> float:
    """Time for `tokens` tokens after the first, whose time is that of reading the prompt."""
    times = []
    for count in (1, tokens + 1):
        started = time.perf_counter()
        run(count)
        times.append(time.perf_counter() - started)
    return times[1] - times[0]


def compare(runs: Mapping[str, Run], *, rounds: int, tokens: int) -> dict[str, list[float]]:
    """Decoding seconds of each, taking turns; the first turn only warms up."""
    turns = [
        {name: decoding_seconds(run, tokens) for name, run in runs.items()}
        for _ in range(rounds + 1)
    ]
    return {name: [turn[name] for turn in turns[1:]] for name in runs}


@torch.inference_mode()
def require_same_model(engine: Engine, peers: Mapping[str, LlamaCpp], prompt: list[int]) -> None:
    """The greedy text of F16 must begin as the engine's: else the figures are of two models."""
    params = SamplingParams(max_tokens=COMPARED, ignore_eos=True)
    ours = [output.token for output in engine.generate(prompt, params)]
    for kind, peer in peers.items():
        (theirs,) = peer.run([(prompt, COMPARED)])
        same = next((i for i in range(COMPARED) if ours[i] != theirs[i]), COMPARED)
        print(f"llama.cpp {kind}: the engine's first {same} of {COMPARED} greedy tokens")
        if kind == "F16" and same < ALIKE:
            raise SystemExit("That is another model, or another computation.")


def row(dtype: str, rows: int, tokens: int, seconds: Mapping[str, list[float]]) -> str:
    ours = seconds[f"engine {dtype}"]

    def cells(name: str, kind: str = "") -> list[str]:
        if name not in seconds:
            return ["–", "–"]
        ratio = median(their / our for our, their in zip(ours, seconds[name], strict=True))
        return [f"{rows * tokens / median(seconds[name]):.1f}{kind}", f"{ratio:.2f} ×"]

    kind = OF_DTYPE[dtype]
    rate, _ = cells(f"engine {dtype}")
    beside = cells(f"transformers {dtype}") + cells(f"llama.cpp {kind}", f" ({kind})")
    return f"| {' | '.join([dtype, str(rows), rate, *beside])} |"


def measure(options: argparse.Namespace, peers: Mapping[str, LlamaCpp]) -> None:
    engines: dict[str, Engine] = {}
    models: dict[str, LlamaForCausalLM] = {}
    for dtype in options.dtype:
        engines[dtype] = Engine.load(
            options.folder,
            dtype=dtype,
            device=options.device,
            max_batch=max(options.batch),
            max_len=options.length,
        )
        if dtype != "int8":  # which transformers has not
            checkpoint = load_checkpoint(options.folder, dtype=DTYPES[dtype])
            models[dtype] = to_transformers(checkpoint).to(options.device)
    prompt = next(iter(engines.values())).tokenizer.encode(PROMPT)
    require_same_model(next(iter(engines.values())), peers, prompt)
    print(
        "| weights | batch | engine, tokens/s | transformers | engine is | llama.cpp | engine is |"
    )
    print("|---|---|---|---|---|---|---|")
    for rows in options.batch:
        runs: dict[str, Run] = {}
        for dtype, engine in engines.items():
            runs[f"engine {dtype}"] = partial(run_ours, engine, prompt, rows)
        for dtype, model in models.items():
            runs[f"transformers {dtype}"] = partial(run_theirs, model, prompt, rows)
        for kind, peer in peers.items():
            runs[f"llama.cpp {kind}"] = partial(run_llama_cpp, peer, prompt, rows)
        seconds = compare(runs, rounds=options.rounds, tokens=options.tokens)
        for dtype in engines:
            print(row(dtype, rows, options.tokens, seconds), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Decoding speed beside transformers and llama.cpp."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, action="append")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--without-llama-cpp", action="store_true")
    options = parser.parse_args()
    options.dtype, options.batch = options.dtype or [*DTYPES], options.batch or [*BATCHES]
    options.length = 64 + options.tokens + 1  # the prompt is short
    kinds = [] if options.without_llama_cpp else [OF_DTYPE[dtype] for dtype in options.dtype]
    with llama_cpp(kinds, rows=max(options.batch), length=options.length) as peers:
        measure(options, peers)


if __name__ == "__main__":
    main()
