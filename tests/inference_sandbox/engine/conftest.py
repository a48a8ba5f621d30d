"""Tiny random releases, and the demo release itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from demo import weights as demo_weights
from inference_sandbox.engine.engine import Engine
from tests.inference_sandbox.engine.releases import (
    PARAMS,
    MakeRelease,
    cut,
    random_weights,
    write_byte_tokenizer,
)


@pytest.fixture(scope="session")
def make_release(tmp_path_factory: pytest.TempPathFactory) -> MakeRelease:
    """Write a tiny random model: `make_release(shards=3, tie_word_embeddings=True, …)`."""

    def make(*, shards: int = 1, seed: int = 0, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("release")
        params = {**PARAMS, **changes}
        (folder / "params.json").write_text(json.dumps(params))
        cuts = {n: cut(n, t, shards) for n, t in random_weights(params, seed).items()}
        for rank in range(shards):
            shard = {name: parts[rank] for name, parts in cuts.items()}
            torch.save(shard, folder / f"consolidated.{rank:02d}.pth")
        write_byte_tokenizer(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_release(make_release: MakeRelease) -> Path:
    """Read it, do not change it."""
    return make_release()


@pytest.fixture
def engine(tiny_release: Path) -> Engine:
    return Engine.load(tiny_release, max_batch=4)


@pytest.fixture(scope="session")
def demo_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "smollm2-135m"
    demo_weights.build(folder)
    return folder


@pytest.fixture(scope="session")
def demo_engine(demo_release: Path) -> Engine:
    return Engine.load(demo_release, max_batch=6, max_len=256)
