"""A small release with both layouts in one revision, and with it what a hub client needs."""

import json
import os
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from tests.distribution.weights import original, safetensors

WORDS = [
    "<unk>",
    "<s>",
    "</s>",
    "the",
    "weights",
    "of",
    "a",
    "small",
    "model",
    "are",
    "weighed",
    "here",
]
BIG = "big.bin.txt"  # 25 MiB: a client keeps it in pieces of 10 MiB


def write(folder: Path) -> Path:
    """Original shards, sharded safetensors with their index, a tokenizer, a folder, and one large file."""
    original(safetensors(folder))
    words = models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "evals").mkdir()
    (folder / "evals" / "boolq.json").write_text(json.dumps({"accuracy": 0.75}))
    (folder / BIG).write_bytes(os.urandom(25 * 1024 * 1024))
    return folder
