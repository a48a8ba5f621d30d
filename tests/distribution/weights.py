"""Small real checkpoints in both layouts, and grants to them."""

import io
import json
import pickle
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from django.utils import timezone
from safetensors.torch import save_file

from access_requests.models import Grant, LicenceAcceptance
from distribution.checkpoints.shapes import safetensors_shapes
from portal.accounts.models import Account
from portal.catalog.models import Release

PARAMS = {
    "dim": 8,
    "multiple_of": 4,
    "n_heads": 2,
    "n_layers": 2,
    "norm_eps": 1e-5,
    "vocab_size": -1,
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "vocab_size": 32,
}
VOCAB, HIDDEN = 32, 24


def shard(
    shards: int = 1, *, seed: int = 0, **changes: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """The tensors of one rank of the model that PARAMS describes, written out by hand."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16)

    table = {"tok_embeddings.weight": random(VOCAB, 8 // shards)}
    for layer in range(2):
        table |= {
            f"layers.{layer}.attention.wq.weight": random(8 // shards, 8),
            f"layers.{layer}.attention.wk.weight": random(8 // shards, 8),
            f"layers.{layer}.attention.wv.weight": random(8 // shards, 8),
            f"layers.{layer}.attention.wo.weight": random(8, 8 // shards),
            f"layers.{layer}.feed_forward.w1.weight": random(HIDDEN // shards, 8),
            f"layers.{layer}.feed_forward.w2.weight": random(8, HIDDEN // shards),
            f"layers.{layer}.feed_forward.w3.weight": random(HIDDEN // shards, 8),
            f"layers.{layer}.attention_norm.weight": torch.ones(8, dtype=torch.bfloat16),
            f"layers.{layer}.ffn_norm.weight": torch.ones(8, dtype=torch.bfloat16),
        }
    table |= {
        "norm.weight": torch.ones(8, dtype=torch.bfloat16),
        "output.weight": random(VOCAB // shards, 8),
        "rope.freqs": torch.ones(2),
    }
    for name, tensor in changes.items():
        if tensor is None:
            del table[name]
        else:
            table[name] = tensor
    return table


def original(folder: Path, shards: int = 1, **params: Any) -> Path:
    """A folder in the original layout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(PARAMS | params))
    (folder / "tokenizer.model").write_bytes(b"not read at publication")
    for rank in range(shards):
        torch.save(shard(shards, seed=rank), folder / f"consolidated.{rank:02d}.pth")
    return folder


def safetensors(folder: Path, *, seed: int = 0) -> Path:
    """A folder in the safetensors layout: two files and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    shapes = safetensors_shapes(CONFIG)
    assert shapes is not None
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(shape, generator=generator).to(torch.bfloat16)
        for name, shape in shapes.items()
    }
    names, weight_map = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return folder


def pth(path: Path, data_pkl: bytes, **records: bytes) -> Path:
    """A file with the form that torch.save writes, and any pickle inside."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        archive.writestr("archive/version", "3\n")
        for name, content in records.items():
            archive.writestr(f"archive/{name}", content)
    return path


class Runs:
    """What an attacker puts into a pickle: a call that is made when the file is loaded."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def pickled(value: Any) -> bytes:
    out = io.BytesIO()
    pickle.dump(value, out, protocol=2, fix_imports=False)  # as torch.save writes
    return out.getvalue()


def granted(account: Account, release: Release, **fields: Any) -> Grant:
    """A grant as an approval gives it."""
    version = release.family.licence.current
    acceptance = LicenceAcceptance.objects.create(
        account=account,
        licence_version=version,
        typed_name=account.name,
        text_sha256=version.sha256,
    )
    now = timezone.now()
    defaults = {"starts_at": now - timedelta(days=1), "ends_at": now + timedelta(days=300)}
    return Grant.objects.create(
        account=account, release=release, acceptance=acceptance, **defaults | fields
    )
