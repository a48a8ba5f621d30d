"""Many requests of different lengths, arriving one after another: the engine beside transformers, llama.cpp and itself.

    python -m benchmarks.engine_serving FOLDER [--dtype bfloat16] [--requests 32] [--rounds 3]

FOLDER is a release in the original layout (`python -m demo.weights FOLDER` makes one; llama.cpp always has the demo
model, so leave it out with `--without-llama-cpp` for another). The same requests (prompts of 8
to 200 tokens, answers of 16 to 128) are answered by

- the engine, the requests arriving one by one every few steps;
- llama.cpp, which they join at the same steps, in F16 (and as it is shipped, Q4_1, beside int8), with torch's threads;
- transformers' `generate`, all of them in one padded batch at once, which no later request could have joined: its time
  is that of the longest answer, and what it writes behind an answer's end counts for nothing;
- the engine, one request after another;
- transformers, one request after another (a quarter of the requests).

They take turns; the table gives medians of tokens a second that were asked for, reading of prompts included.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from transformers import LlamaForCausalLM

from benchmarks.beside_llama_cpp import SHIPPED, LlamaCpp, llama_cpp
from benchmarks.engine_vs_transformers import PROMPT, require_same_model
from benchmarks.in_transformers import to_transformers
from inference_sandbox.engine.checkpoint import load_checkpoint
from inference_sandbox.engine.engine import DTYPES, Engine, SamplingParams

LONGEST_PROMPT, LONGEST_ANSWER = 200, 128
LENGTH = LONGEST_PROMPT + LONGEST_ANSWER + 1
ARRIVAL_STEPS = 2  # steps of the engine between two arrivals


@dataclass(frozen=True)
class Asked:
    prompt: list[int]
    tokens: int


def requests(count: int, vocabulary: int) -> list[Asked]:
    rng = random.Random(7)
    return [
        Asked(
            [rng.randrange(300, vocabulary) for _ in range(rng.randint(8, LONGEST_PROMPT))],
            rng.randint(16, LONGEST_ANSWER),
        )
        for _ in range(count)
    ]


def params(asked: Asked) -> SamplingParams:
    return SamplingParams(max_tokens=asked.tokens, ignore_eos=True)


def together(engine: Engine, every: list[Asked]) -> None:
    engine._prefixes.forget()  # each round reads its prompts itself
    waiting = list(enumerate(every))
    steps = 0
    while waiting or engine.has_work:
        if waiting and steps % ARRIVAL_STEPS == 0:
            number, asked = waiting.pop(0)
            engine.add(str(number), asked.prompt, params(asked))
        engine.step()
        steps += 1


def one_by_one(engine: Engine, every: list[Asked]) -> None:
    engine._prefixes.forget()
    for asked in every:
        for _ in engine.generate(asked.prompt, params(asked)):
            pass


@torch.inference_mode()
def theirs(model: LlamaForCausalLM, every: list[Asked]) -> None:
    """One padded batch."""
    width = max(len(asked.prompt) for asked in every)
    rows = [[0] * (width - len(asked.prompt)) + asked.prompt for asked in every]
    mask = [[0] * (width - len(a.prompt)) + [1] * len(a.prompt) for a in every]
    tokens = max(asked.tokens for asked in every)
    model.generate(
        torch.tensor(rows, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        do_sample=False,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        pad_token_id=0,
    )


def by_llama_cpp(peer: LlamaCpp, every: list[Asked]) -> None:
    peer.run([(asked.prompt, asked.tokens) for asked in every], every=ARRIVAL_STEPS)


def seconds(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def measure(options: argparse.Namespace, peers: Mapping[str, LlamaCpp]) -> None:
    checkpoint = load_checkpoint(options.folder, dtype=DTYPES[options.dtype])
    engine = Engine.load(
        options.folder,
        dtype=options.dtype,
        device=options.device,
        max_batch=options.requests,
        max_len=LENGTH,
    )
    require_same_model(engine, peers, engine.tokenizer.encode(PROMPT))
    transformers = to_transformers(checkpoint).to(options.device)
    every = requests(options.requests, checkpoint.args.vocab_size)
    some = every[: max(1, len(every) // 4)]
    ways: dict[str, tuple[Callable[[], None], list[Asked]]] = {
        "engine, arriving one after another": (lambda: together(engine, every), every),
        "transformers, one padded batch": (lambda: theirs(transformers, every), every),
        **{
            f"llama.cpp {kind}, arriving one after another": (
                partial(by_llama_cpp, peer, every),
                every,
            )
            for kind, peer in peers.items()
        },
        "engine, one after another": (lambda: one_by_one(engine, every), every),
        "transformers, one after another": (
            lambda: [theirs(transformers, [one]) for one in some] and None,
            some,
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    one_by_one(engine, every[:1])  # what is made at the first use is made before
    for peer in peers.values():
        by_llama_cpp(peer, every[:1])
    for _ in range(options.rounds):
        for name, (act, asked) in ways.items():
            rates[name].append(sum(one.tokens for one in asked) / seconds(act))
    ours = rates["engine, arriving one after another"]
    print(
        f"| {options.requests} requests, {options.dtype}, {options.device} | tokens/s | engine is |"
    )
    print("|---|---|---|")
    for name, found in rates.items():
        ratio = median(mine / their for mine, their in zip(ours, found, strict=True))
        print(f"| {name} | {median(found):.1f} | {ratio:.2f} × |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Many requests at once, beside others.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-llama-cpp", action="store_true")
    options = parser.parse_args()
    kinds = ["F16", SHIPPED] if options.dtype == "int8" else ["F16"]
    if options.without_llama_cpp:
        kinds = []
    with llama_cpp(kinds, rows=options.requests, length=LENGTH) as peers:
        measure(options, peers)


if __name__ == "__main__":
    main()
