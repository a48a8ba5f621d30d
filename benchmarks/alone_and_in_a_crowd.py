"""Does a request get the same tokens alone and in a crowd? Counted for each dtype, at temperature 0 and with a seed.

    python -m benchmarks.alone_and_in_a_crowd FOLDER [--dtype float32] [--tokens 64] [--device cpu]

FOLDER is a release in the original layout (`python -m demo.weights FOLDER` makes one). 32 prompts are answered one by
one, then in crowds in which one joins every few steps; the table says how many answers stayed the same to their last
token, and after how many tokens the others parted, by the median.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from inference_sandbox.engine.engine import DTYPES, Engine, SamplingParams

CROWDS = (2, 8, 32)
BETWEEN = 2  # steps of the engine between two arrivals
THINGS = [
    "lighthouses", "the printing press", "tea", "bridges", "glass", "the bicycle", "salt", "maps", "clocks",
    "the novel", "steam engines", "silk", "vaccines", "the piano", "paper", "chess",
]  # fmt: skip
PROMPTS = [f"The history of {thing} begins" for thing in THINGS]
PROMPTS += [f"Here is what every child should know about {thing}:" for thing in THINGS]
WAYS = {"temperature 0": 0.0, "temperature 0.8, a seed each": 0.8}


def alone(engine: Engine, temperature: float, tokens: int) -> list[list[int]]:
    return [
        answers(engine, [number], temperature, tokens)[number] for number in range(len(PROMPTS))
    ]


def answers(
    engine: Engine, numbers: list[int], temperature: float, tokens: int
) -> dict[int, list[int]]:
    """Of these prompts together."""
    engine._prefixes.forget()  # each prompt is read anew
    waiting, steps = list(numbers), 0
    told: dict[int, list[int]] = {number: [] for number in numbers}
    while waiting or engine.has_work:
        if waiting and steps % BETWEEN == 0:
            number = waiting.pop(0)
            params = SamplingParams(
                max_tokens=tokens, temperature=temperature, seed=number, ignore_eos=True
            )
            engine.add(str(number), engine.tokenizer.encode(PROMPTS[number]), params)
        for output in engine.step():
            if output.token is not None:
                told[int(output.request_id)].append(output.token)
        steps += 1
    return told


def parted(ours: list[int], others: list[int]) -> int | None:
    """The first place at which they differ."""
    return next(
        (at for at, pair in enumerate(zip(ours, others, strict=True)) if pair[0] != pair[1]), None
    )


def measure(options: argparse.Namespace, dtype: str) -> None:
    engine = Engine.load(
        options.folder,
        dtype=dtype,
        device=options.device,
        max_batch=max(CROWDS),
        max_len=options.tokens + 64,
    )
    for way, temperature in WAYS.items():
        single = alone(engine, temperature, options.tokens)
        cells = []
        for size in CROWDS:
            places: list[int | None] = []
            for first in range(0, len(PROMPTS), size):
                together = answers(
                    engine, list(range(first, first + size)), temperature, options.tokens
                )
                places += [parted(single[number], told) for number, told in together.items()]
            apart = [place for place in places if place is not None]
            behind = f", others part after {median(apart):.0f}" if apart else ""
            cells.append(f"{len(places) - len(apart)} of {len(places)}{behind}")
        print(f"| {dtype} | {way} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The same tokens alone and in a crowd?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, action="append")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(
        f"| dtype | | {' | '.join(f'in crowds of {size}' for size in CROWDS)} |\n|---|---|---|---|---|"
    )
    for dtype in options.dtype or DTYPES:
        measure(options, dtype)


if __name__ == "__main__":
    main()
