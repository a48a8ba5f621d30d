from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from tokenizers import Tokenizer

from demo import weights
from tests.clients.environments import python_of

FILES = {
    "params.json",
    "consolidated.00.pth",
    "consolidated.01.pth",
    "consolidated.02.pth",
    "tokenizer.json",
    "tokenizer_config.json",
    "LICENSE",
    "README.md",
}


def test_the_release_is_complete_and_nothing_is_left_beside_it(demo_release: Path) -> None:
    assert {path.name for path in demo_release.iterdir()} == FILES
    assert os.listdir(demo_release.parent) == [demo_release.name]
    assert json.loads((demo_release / "params.json").read_text())["vocab_size"] == 49_152
    assert "Apache License" in (demo_release / "LICENSE").read_text()


def test_the_tokenizer_is_written_as_old_libraries_read_it(demo_release: Path) -> None:
    """tokenizers before 0.20 (transformers up to 4.44) read "a b", and no pair."""
    tokenizer = json.loads((demo_release / "tokenizer.json").read_text())
    merges = tokenizer["model"]["merges"]
    assert len(merges) > 40_000
    assert all(isinstance(merge, str) and len(merge.split(" ")) == 2 for merge in merges)
    ids = (
        Tokenizer.from_file(str(demo_release / "tokenizer.json"))
        .encode("The capital of France")
        .ids
    )
    assert ids == [504, 3575, 282, 4649]


SAY_IDS = """
import json, sys, tokenizers
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
print(json.dumps([tokenizers.__version__, tokenizer.encode(sys.argv[2]).ids]))
"""
TEXT = "In 2019, 1,234 people said “naïve” — <|im_end|> 日本語\n\n\tdef f(x): return x**2"


def test_the_tokenizer_gives_the_same_ids_in_tokenizers_0_19(demo_release: Path) -> None:
    file = str(demo_release / "tokenizer.json")
    command = [str(python_of("tokenizers_0_19")), "-c", SAY_IDS, file, TEXT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    version, ids = json.loads(done.stdout)
    assert version == "0.19.1"
    assert ids == Tokenizer.from_file(file).encode(TEXT).ids


def test_the_readme_has_the_metadata_that_card_parsers_read(demo_release: Path) -> None:
    card = ModelCard.load(demo_release / "README.md")
    assert card.data.to_dict() == {
        "license": "apache-2.0",
        "language": ["en"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "tags": ["llama", "safetensors"],
    }
    assert card.text.lstrip().startswith("# SmolLM2-135M-Instruct")


def test_two_builds_give_the_same_bytes(demo_release: Path, tmp_path: Path) -> None:
    weights.build(tmp_path / "under another name")
    for name in FILES:
        assert (tmp_path / "under another name" / name).read_bytes() == (
            demo_release / name
        ).read_bytes(), name


def test_the_shards_are_plain_bfloat16_tensors_that_torch_opens_alone(demo_release: Path) -> None:
    shard = torch.load(demo_release / "consolidated.02.pth", weights_only=True)
    assert {tensor.dtype for tensor in shard.values()} == {torch.bfloat16}
    assert shard["tok_embeddings.weight"].shape == (49_152, 192)
    assert shard["layers.29.attention.wk.weight"].shape == (64, 576)
    assert "output.weight" not in shard


def test_a_finished_release_is_left_as_it_is(demo_release: Path) -> None:
    before = (demo_release / "consolidated.00.pth").stat().st_mtime_ns
    weights.build(demo_release)
    assert (demo_release / "consolidated.00.pth").stat().st_mtime_ns == before


def test_a_folder_with_something_else_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match="choose another folder"):
        weights.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(weights, "_shards", lambda reader: [{}])  # the real ones take seconds
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        weights.build(tmp_path / "release")
    assert list(tmp_path.iterdir()) == []
