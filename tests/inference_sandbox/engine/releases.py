"""Writes tiny random models in the original layout, with a byte tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from inference_sandbox.engine.checkpoint import load_checkpoint
from inference_sandbox.engine.layouts import expected_shapes
from inference_sandbox.engine.model import Transformer
from inference_sandbox.engine.params import ModelArgs, args_from_params

# Every sharded dimension divides by 1, 2, 3 and 4; six heads share three key/value heads.
PARAMS: dict[str, Any] = {
    "dim": 48,
    "n_layers": 2,
    "n_heads": 6,
    "n_kv_heads": 3,
    "vocab_size": 264,
    "multiple_of": 24,
    "norm_eps": 1e-5,
    "max_seq_len": 64,
}
# Slow enough to be killed, cancelled and revoked in the middle of an answer.
TINY: dict[str, Any] = {**PARAMS, "dim": 144, "n_layers": 30, "max_seq_len": 1024}
ROW_PARALLEL = ("wo", "w2", "tok_embeddings")
COLUMN_PARALLEL = ("wq", "wk", "wv", "w1", "w3", "output")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

TOKENS = torch.tensor([[5, 99, 200, 17, 3, 42]])

MakeRelease = Callable[..., Path]


def random_weights(params: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    return weights_of(args_from_params(params, None), seed)


def weights_of(args: ModelArgs, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = expected_shapes(args)
    return {
        name: 1 + 0.1 * torch.randn(shape, generator=generator)
        if "norm" in name
        else 0.3 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def cut(name: str, tensor: Tensor, shards: int) -> list[Tensor]:
    """Cut as LLaMA's model-parallel layers do."""
    module = name.split(".")[-2]
    if module in ROW_PARALLEL:
        return [part.clone() for part in tensor.chunk(shards, 1)]
    if module in COLUMN_PARALLEL:
        return [part.clone() for part in tensor.chunk(shards, 0)]
    return [tensor.clone() for _ in range(shards)]


def write_byte_tokenizer(folder: Path) -> None:
    """One token per byte, as byte-level BPE without merges; bos, eos and one more control token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    controls = ["<s>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens([AddedToken(c, special=True, normalized=False) for c in controls])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": "<|im_end|>", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": TEMPLATE}))


def tiny_weights(seed: int = 0) -> dict[str, Tensor]:
    """TINY's, which say a byte after the other and hardly ever the token that ends an answer."""
    weights = random_weights(TINY, seed)
    weights["output.weight"][256:] = 0
    return weights


def write_tiny(folder: Path) -> Path:
    """A whole model, TINY, of one shard."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(TINY))
    torch.save(tiny_weights(), folder / "consolidated.00.pth")
    write_byte_tokenizer(folder)
    return folder


def make_small(folder: Path, params: dict[str, Any] = PARAMS) -> Path:
    """A whole model of one shard, as small as PARAMS."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(params))
    torch.save(random_weights(params), folder / "consolidated.00.pth")
    write_byte_tokenizer(folder)
    return folder


@torch.inference_mode()
def logits(folder: Path, tokens: Tensor = TOKENS) -> Tensor:
    """What our own engine computes of a folder in either layout, at every place."""
    checkpoint = load_checkpoint(folder)
    return Transformer(checkpoint.args, checkpoint.weights).read(tokens[0].tolist()).unsqueeze(0)
