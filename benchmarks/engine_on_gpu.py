"""The engine on a GPU, with random weights of LLaMA's shapes: against what the memory allows, and beside transformers.

    python -m benchmarks.engine_on_gpu [--shapes 7B 13B 33B 65B-int8] [--beside] [--device cuda]

For each shape: tokens a second at batch 1, and what that is of the limit (the bytes of the weights that a step reads
÷ the measured speed of a copy on the device, bytes read and written counted); tokens a second of 64 requests; and the
time to the first token of a prompt of 512 tokens beyond what its arithmetic takes at the measured speed of a large
product. All through `Engine.step`: scheduling, choosing tokens and all. --beside: transformers' `generate` with a
static cache and compiled, on the same shape, in turn with the engine. `--shapes tiny --device cpu` tries the script.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

import torch
from torch import Tensor

from inference_sandbox.engine.engine import Engine, SamplingParams
from inference_sandbox.engine.model import Transformer
from inference_sandbox.engine.params import ModelArgs
from inference_sandbox.engine.tokenizer import Tokenizer

PROMPT, ANSWER, MANY, LONG = 128, 128, 64, 512
SHAPES = {  # dim, layers, heads, hidden: the params.json of each
    "7B": (4096, 32, 32, 11008),
    "13B": (5120, 40, 40, 13824),
    "33B": (6656, 60, 52, 17920),
    "65B": (8192, 80, 64, 22016),
    "tiny": (256, 2, 4, 768),
}


class NoWords(Tokenizer):
    """No text: the tokens alone are of interest here."""

    def __init__(self) -> None:
        self.eos_ids = frozenset()

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        return []

    def decode(self, ids: Sequence[int]) -> str:
        return ""

    def token_bytes(self, token: int) -> bytes:
        return b""


class RandomWeights(Mapping[str, Tensor]):
    """Each made when it is taken, so that 130 GB of them never lie side by side."""

    def __init__(self, args: ModelArgs, device: str) -> None:
        self._args, self._device = args, device

    def __getitem__(self, name: str) -> Tensor:
        args = self._args
        shapes = {
            "w1": (args.hidden_dim, args.dim),
            "w2": (args.dim, args.hidden_dim),
            "w3": (args.hidden_dim, args.dim),
            "tok_embeddings": (args.vocab_size, args.dim),
            "output": (args.vocab_size, args.dim),
        }
        last = name.removesuffix(".weight").split(".")[-1]
        if last.endswith("norm"):
            return torch.ones(args.dim, device=self._device, dtype=torch.bfloat16)
        shape = shapes.get(last, (args.dim, args.dim))
        made = torch.empty(shape, device=self._device, dtype=torch.bfloat16)
        return made.normal_(std=0.02)

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


def args_of(shape: str) -> ModelArgs:
    dim, layers, heads, hidden = SHAPES[shape]
    return ModelArgs(
        dim=dim,
        n_layers=layers,
        n_heads=heads,
        n_kv_heads=heads,
        head_dim=dim // heads,
        hidden_dim=hidden,
        vocab_size=32000,
        norm_eps=1e-5,
        rope_theta=10000.0,
        max_seq_len=2048,
        tied=False,
    )


def bytes_of_weights(model: Transformer) -> int:
    linears = [model.output]
    for layer in model.layers:
        linears += [layer.wqkv, layer.wo, layer.w13, layer.w2]
    return sum(one.weight.numel() * one.weight.itemsize for one in linears)


class Device:
    def __init__(self, name: str) -> None:
        self.name, self.is_cuda = name, name == "cuda"
        self.copied = self._copied()  # bytes a second
        self.multiplied = self._multiplied()  # operations a second

    def wait(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize()

    def seconds(self, act: Callable[[], object], rounds: int = 5) -> float:
        times = []
        for _ in range(rounds + 1):
            self.wait()
            started = time.perf_counter()
            act()
            self.wait()
            times.append(time.perf_counter() - started)
        return median(times[1:])

    def _copied(self) -> float:
        source = torch.ones(1 << (32 if self.is_cuda else 26), dtype=torch.uint8, device=self.name)
        target = torch.empty_like(source)
        return 2 * source.numel() / self.seconds(lambda: target.copy_(source))

    def _multiplied(self) -> float:
        size = 8192 if self.is_cuda else 512
        left, right = (
            torch.randn(size, size, device=self.name, dtype=torch.bfloat16) for _ in range(2)
        )
        return 2 * size**3 / self.seconds(lambda: left @ right)


def prompt(length: int, seed: int) -> list[int]:
    return torch.randint(
        1000, 31000, (length,), generator=torch.Generator().manual_seed(seed)
    ).tolist()


def decoding(engine: Engine, device: Device, requests: int) -> float:
    """Seconds of a step in which `requests` decode."""
    params = SamplingParams(max_tokens=ANSWER, ignore_eos=True)
    engine._prefixes.forget()
    for number in range(requests):
        engine.add(str(number), prompt(PROMPT, number), params)
    begun: set[str] = set()
    while len(begun) < requests:
        begun |= {one.request_id for one in engine.step() if one.token is not None}
    device.wait()
    started, steps = time.perf_counter(), 0
    while engine.occupancy[0] == requests:
        engine.step()
        steps += 1
    device.wait()
    took = (time.perf_counter() - started) / steps
    while engine.has_work:
        engine.step()
    return took


def first_token(engine: Engine, device: Device, seed: int) -> float:
    engine._prefixes.forget()
    device.wait()
    started = time.perf_counter()
    engine.add("long", prompt(LONG, seed), SamplingParams(max_tokens=1))
    while engine.has_work:
        engine.step()
    return time.perf_counter() - started


def transformers_of(args: ModelArgs, device: str) -> Callable[[int, int], None]:
    from transformers import LlamaForCausalLM, StaticCache

    from benchmarks.in_transformers import config_of

    config = config_of(args)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = LlamaForCausalLM(config).eval()
    torch.set_default_dtype(torch.float32)

    caches: dict[int, StaticCache] = {}

    @torch.inference_mode()
    def generate(rows: int, tokens: int) -> None:
        if rows not in caches:  # of one length, or each would be compiled for itself
            caches[rows] = StaticCache(config=config, max_cache_len=PROMPT + ANSWER + 2)
        caches[rows].reset()
        ids = torch.tensor([prompt(PROMPT, row) for row in range(rows)], device=device)
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            pad_token_id=0,
            past_key_values=caches[rows],
        )

    return generate


def their_decoding(generate: Callable[[int, int], None], device: Device, rows: int) -> float:
    times = []
    for tokens in (2, ANSWER + 2):
        device.wait()
        started = time.perf_counter()
        generate(rows, tokens)
        device.wait()
        times.append(time.perf_counter() - started)
    return (times[1] - times[0]) / ANSWER


def measure(shape: str, device: Device, *, beside: bool, rounds: int) -> None:
    name, _, int8 = shape.partition("-")
    args = args_of(name)
    model = Transformer(args, RandomWeights(args, device.name), device=device.name, int8=bool(int8))
    engine = Engine(model, NoWords(), max_batch=MANY, max_len=LONG + 64)
    many = min(MANY, engine.info.max_batch)
    limit = bytes_of_weights(model) / device.copied
    theirs = transformers_of(args, device.name) if beside else None
    ours_s, theirs_s = [], []
    for rows in (1, many):
        pairs = []
        for turn in range(rounds + 1):
            mine = decoding(engine, device, rows)
            its = their_decoding(theirs, device, rows) if theirs and turn < 3 else float("nan")
            pairs.append((mine, its))
        ours_s.append(median(mine for mine, _ in pairs[1:]))
        theirs_s.append(median(its for _, its in pairs[1:3]))
    first = median(first_token(engine, device, seed) for seed in range(rounds + 1))
    linear = args.n_params - 2 * args.vocab_size * args.dim
    arithmetic = (
        2 * linear * LONG + 2 * LONG * LONG * args.dim * args.n_layers
    ) / device.multiplied
    print(
        f"| {shape} | 1 | {1 / ours_s[0]:.1f} | {limit / ours_s[0]:.1%} of the limit | {1 / theirs_s[0]:.1f} |\n"
        f"| {shape} | {many} | {many / ours_s[1]:.0f} | {many * ours_s[0] / ours_s[1]:.1f} × batch 1 | "
        f"{many / theirs_s[1]:.0f} |\n"
        f"| {shape} | first token of {LONG} | {first * 1000:.1f} ms | "
        f"{(first - arithmetic) * 1000:.1f} ms beyond its arithmetic | |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine on a GPU, with LLaMA's shapes.")
    parser.add_argument("--shapes", nargs="+", default=["7B"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    device = Device(options.device)
    title = torch.cuda.get_device_name() if device.is_cuda else "cpu"
    print(
        f"{title}: a copy moves {device.copied / 1e12:.2f} TB/s, a product {device.multiplied / 1e12:.0f} TFLOP/s"
    )
    print(
        "| shape | requests | tokens/s | | transformers, tokens/s |\n|---|---|---|---|---|",
        flush=True,
    )
    for shape in options.shapes:
        with torch.inference_mode():
            measure(shape, device, beside=options.beside, rounds=options.rounds)
        gc.collect()
        if device.is_cuda:
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
