"""Which tiles suit the kernels of a GPU: a step of LLaMA 7B at batch 1 under each choice.

    python -m benchmarks.gpu_tiles [--seconds 90]

What stands in `ONE` and `ATTENTION_OF_ONE` of inference_sandbox/engine/cuda_steps.py was found so. One kernel's tiles
are changed at a time, and kept if the whole step became quicker: alone, a product's time hides what it does to its
neighbours, which start while it ends.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from statistics import median

import torch

from benchmarks.engine_on_gpu import Device, RandomWeights, args_of, bytes_of_weights
from inference_sandbox.engine import cuda_steps
from inference_sandbox.engine.cuda_steps import Recorded, Tiles
from inference_sandbox.engine.model import Transformer

ROW, POSITION, STEPS = 0, 190, 12
SMALLEST_GAIN = 4e-6  # seconds; less is noise


def choices() -> Iterator[tuple[str, Tiles]]:
    for positions, warps in ((64, 4), (64, 8), (128, 4), (128, 8), (256, 8)):
        yield "attention", Tiles(outputs=1, inputs=positions, warps=warps)
    for name in cuda_steps.ONE:
        for outputs, inputs, warps in (
            *((2, 1024, 2), (2, 1024, 4), (4, 512, 2), (4, 1024, 2), (4, 1024, 4), (4, 2048, 4)),
            *((8, 512, 2), (8, 512, 4), (8, 1024, 4), (16, 256, 2), (16, 512, 4)),
        ):
            yield name, Tiles(outputs=outputs, inputs=inputs, warps=warps)


def current(name: str) -> Tiles:
    return cuda_steps.ATTENTION_OF_ONE if name == "attention" else cuda_steps.ONE[name]


def choose(name: str, tiles: Tiles) -> None:
    if name == "attention":
        cuda_steps.ATTENTION_OF_ONE = tiles
    else:
        cuda_steps.ONE[name] = tiles


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description="Which tiles suit the kernels of a GPU.")
    parser.add_argument("--seconds", type=float, default=90)
    options = parser.parse_args()
    device, args = Device("cuda"), args_of("7B")
    model = Transformer(args, RandomWeights(args, "cuda"), device="cuda")
    cache = model.cache(rows=8, length=576)
    limit = bytes_of_weights(model) / device.copied

    def seconds() -> float:
        recorded, times = Recorded(model, cache, 1), []
        for _ in range(7):
            recorded._inputs.copy_(torch.tensor([[5], [ROW], [POSITION]]))
            device.wait()
            started = time.perf_counter()
            for _ in range(STEPS):
                recorded.go_on()
            device.wait()
            times.append((time.perf_counter() - started) / STEPS)
        return median(times)

    best, until = seconds(), time.monotonic() + options.seconds
    print(f"{torch.cuda.get_device_name()}: {best * 1e6:.0f} µs, {limit / best:.1%} of the limit")
    for name, tiles in choices():
        if time.monotonic() > until:
            break
        before = current(name)
        choose(name, tiles)
        took = seconds()
        print(f"{name} {tiles}: {took * 1e6:.0f} µs, {limit / took:.1%}", flush=True)
        if took < best - SMALLEST_GAIN:
            best = took
        else:
            choose(name, before)
    print(f"{best * 1e6:.0f} µs, {limit / best:.1%}:", cuda_steps.ATTENTION_OF_ONE, cuda_steps.ONE)


if __name__ == "__main__":
    main()
