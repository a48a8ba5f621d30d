"""Decoding speed of the engine beside Hugging Face transformers, on the same weights.

    python -m benchmarks.engine_vs_transformers FOLDER [--dtype float32] [--rounds 5] [--tokens 64]

FOLDER is a release in the original layout (`python -m demo.weights FOLDER` makes one). The two
take turns, so that whatever else the machine does hits both; the table gives medians. Each figure
is decoding alone, all rows together: the time for one token (which reads the prompt) is taken off.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from inference_sandbox.engine.checkpoint import Checkpoint, hugging_face_name, load_checkpoint
from inference_sandbox.engine.engine import DTYPES, Engine, SamplingParams
from inference_sandbox.engine.model import Transformer
from inference_sandbox.engine.tokenizer import load_tokenizer

PROMPT = "The history of the lighthouse begins with fires on hilltops, and"


def to_transformers(checkpoint: Checkpoint) -> LlamaForCausalLM:
    """The same weights as a LlamaForCausalLM: Q and K go to Hugging Face's rotary order."""
    args = checkpoint.args
    config = LlamaConfig(
        vocab_size=args.vocab_size,
        hidden_size=args.dim,
        intermediate_size=args.hidden_dim,
        num_hidden_layers=args.n_layers,
        num_attention_heads=args.n_heads,
        num_key_value_heads=args.n_kv_heads,
        max_position_embeddings=args.max_seq_len,
        rms_norm_eps=args.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": args.rope_theta},
        tie_word_embeddings=args.tied,
    )
    dtype = checkpoint.weights["norm.weight"].dtype
    model = LlamaForCausalLM(config).to(dtype)
    state = {}
    for name, tensor in checkpoint.weights.items():
        heads = {"wq": args.n_heads, "wk": args.n_kv_heads}.get(name.split(".")[-2])
        if heads:
            pairs = tensor.view(heads, args.head_dim // 2, 2, args.dim)
            tensor = pairs.transpose(1, 2).reshape(tensor.shape)
        state[hugging_face_name(name)] = tensor
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"the weights do not fit: {missing=} {unexpected=}")
    model.tie_weights()
    return model.eval()


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


Run = Callable[[int], None]  # argument: how many tokens


def decoding_seconds(run: Run, tokens: int) -> float:
    """Time for `tokens` tokens after the first, whose time is that of reading the prompt."""
    times = []
    for count in (1, tokens + 1):
        started = time.perf_counter()
        run(count)
        times.append(time.perf_counter() - started)
    return times[1] - times[0]


def compare(ours: Run, theirs: Run, *, rounds: int, tokens: int) -> list[tuple[float, float]]:
    """Decoding seconds of both, taking turns; the first turn only warms up."""
    pairs = [
        (decoding_seconds(ours, tokens), decoding_seconds(theirs, tokens))
        for _ in range(rounds + 1)
    ]
    return pairs[1:]


def table_row(name: str, rows: int, tokens: int, pairs: list[tuple[float, float]]) -> str:
    ours, theirs = (rows * tokens / median(side) for side in zip(*pairs, strict=True))
    ratio = median(theirs_s / ours_s for ours_s, theirs_s in pairs)
    return f"| {name} | {rows} | {ours:.1f} | {theirs:.1f} | {ratio:.2f} |"


def measure(options: argparse.Namespace, dtype: str) -> None:
    tokenizer = load_tokenizer(options.folder)
    prompt = tokenizer.encode(PROMPT)
    checkpoint = load_checkpoint(
        options.folder,
        dtype=DTYPES[dtype],
        tokenizer_vocab_size=tokenizer.vocab_size,
    )
    model = Transformer(checkpoint.args, checkpoint.weights, device=options.device)
    engine = Engine(model, tokenizer, max_len=len(prompt) + options.tokens + 1)
    theirs = to_transformers(checkpoint).to(options.device)
    for rows in (1, 8):
        pairs = compare(
            partial(run_ours, engine, prompt, rows),
            partial(run_theirs, theirs, prompt, rows),
            rounds=options.rounds,
            tokens=options.tokens,
        )
        print(table_row(dtype, rows, options.tokens, pairs), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Decoding speed beside transformers.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, action="append")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    print("| dtype | batch | engine, tokens/s | transformers, tokens/s | ratio |")
    print("|---|---|---|---|---|")
    for dtype in options.dtype or DTYPES:
        measure(options, dtype)


if __name__ == "__main__":
    main()
