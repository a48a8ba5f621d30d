from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from inference_sandbox.engine.checkpoint import CheckpointError, load_checkpoint
from inference_sandbox.engine.engine import Engine, SamplingParams
from inference_sandbox.engine.layouts import read_args
from tests.inference_sandbox.engine.releases import (
    PARAMS,
    TOKENS,
    MakeRelease,
    logits,
    write_byte_tokenizer,
)


def change_shard(folder: Path, rank: int, **changes: Any) -> None:
    """Replace tensors of one shard; None removes one."""
    path = folder / f"consolidated.{rank:02d}.pth"
    shard = torch.load(path, weights_only=True) | changes
    torch.save({name: tensor for name, tensor in shard.items() if tensor is not None}, path)


@pytest.mark.parametrize("shards", [2, 3, 4])
def test_any_number_of_shards_merges_to_the_same_model(
    make_release: MakeRelease, tiny_release: Path, shards: int
) -> None:
    assert torch.equal(logits(make_release(shards=shards)), logits(tiny_release))


def test_another_seed_gives_other_logits(make_release: MakeRelease, tiny_release: Path) -> None:
    assert not torch.allclose(logits(make_release(seed=1)), logits(tiny_release))


def test_an_embedding_cut_across_the_vocabulary_merges_too(
    make_release: MakeRelease, tiny_release: Path
) -> None:
    whole = load_checkpoint(tiny_release).weights["tok_embeddings.weight"]
    folder = make_release(shards=2)
    for rank, part in enumerate(whole.chunk(2, 0)):
        change_shard(folder, rank, **{"tok_embeddings.weight": part.clone()})
    assert torch.equal(logits(folder), logits(tiny_release))


@pytest.mark.parametrize("name", ["norm.weight", "layers.1.attention.wq.weight"])
def test_a_missing_tensor_is_named(make_release: MakeRelease, name: str) -> None:
    folder = make_release(shards=2)
    change_shard(folder, 1, **{name: None})
    with pytest.raises(CheckpointError, match=rf"consolidated\.01\.pth lacks {name}"):
        load_checkpoint(folder)


def test_an_unexpected_tensor_is_named(make_release: MakeRelease) -> None:
    folder = make_release()
    change_shard(folder, 0, **{"layers.2.ffn_norm.weight": torch.ones(48)})
    with pytest.raises(CheckpointError, match=r"does not have: layers\.2\.ffn_norm\.weight"):
        load_checkpoint(folder)


def test_a_quantised_tensor_is_refused(make_release: MakeRelease) -> None:
    folder = make_release()
    integers = torch.zeros(48, 48, dtype=torch.int8)
    change_shard(folder, 0, **{"layers.0.attention.wo.weight": integers})
    with pytest.raises(CheckpointError, match=r"wo\.weight .* is torch\.int8"):
        load_checkpoint(folder)


def test_the_rotary_table_of_old_checkpoints_is_passed_over(
    make_release: MakeRelease, tiny_release: Path
) -> None:
    folder = make_release()
    change_shard(folder, 0, **{"rope.freqs": torch.ones(4)})
    assert torch.equal(logits(folder), logits(tiny_release))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(
    make_release: MakeRelease, rank: int
) -> None:
    folder = make_release(shards=2)
    change_shard(folder, rank, **{"layers.0.attention.wk.weight": torch.zeros(10, 48)})
    with pytest.raises(CheckpointError, match=r"wk\.weight in .* \(10, 48\); .* \(12, 48\)"):
        load_checkpoint(folder)


def test_where_the_ranks_differ_in_a_norm_the_first_one_counts(
    make_release: MakeRelease, tiny_release: Path
) -> None:
    """As in LLaMA 3 70B, whose own converters take the first rank's."""
    folder = make_release(shards=3)
    change_shard(folder, 2, **{"norm.weight": torch.ones(48)})
    assert torch.equal(logits(folder), logits(tiny_release))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_missing_shard_in_the_numbering_is_named(make_release: MakeRelease, rank: int) -> None:
    folder = make_release(shards=3)
    (folder / f"consolidated.0{rank}.pth").unlink()
    with pytest.raises(CheckpointError, match=rf"missing consolidated\.0{rank}\.pth"):
        load_checkpoint(folder)


def test_a_missing_last_shard_shows_in_the_shapes(make_release: MakeRelease) -> None:
    folder = make_release(shards=3)
    (folder / "consolidated.02.pth").unlink()
    with pytest.raises(CheckpointError, match="params say"):
        load_checkpoint(folder)


def test_a_number_of_shards_that_divides_nothing_is_refused(make_release: MakeRelease) -> None:
    folder = make_release()
    for rank in range(1, 5):
        shutil.copy(folder / "consolidated.00.pth", folder / f"consolidated.0{rank}.pth")
    with pytest.raises(CheckpointError, match="cannot be cut evenly into 5 shards"):
        load_checkpoint(folder)


class Bomb:
    """Unpickling it would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.target,)


def test_a_pickle_with_code_in_it_is_refused_and_not_run(
    make_release: MakeRelease, tmp_path: Path
) -> None:
    folder = make_release()
    torch.save({"norm.weight": Bomb(tmp_path / "boom")}, folder / "consolidated.00.pth")
    with pytest.raises(CheckpointError, match="refused: it holds more than tensors"):
        load_checkpoint(folder)
    assert not (tmp_path / "boom").exists()
    torch.load(folder / "consolidated.00.pth", weights_only=False)
    assert (tmp_path / "boom").exists(), "the bomb of this test is a dud"


@pytest.mark.parametrize("content", [b"", b"<html>403</html>", pickle.dumps({"a": 1})])
def test_a_file_that_is_no_checkpoint_is_refused(make_release: MakeRelease, content: bytes) -> None:
    folder = make_release()
    (folder / "consolidated.00.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"consolidated\.00\.pth"):
        load_checkpoint(folder)


def test_a_truncated_shard_is_refused(make_release: MakeRelease) -> None:
    folder = make_release()
    path = folder / "consolidated.00.pth"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(folder)


def test_tied_embeddings_must_be_stated(make_release: MakeRelease) -> None:
    tied = make_release(tie_word_embeddings=True)
    weights = load_checkpoint(tied).weights
    assert "output.weight" not in weights
    (tied / "params.json").write_text(json.dumps(PARAMS))
    with pytest.raises(CheckpointError, match=r"lacks output\.weight"):
        load_checkpoint(tied)


def test_a_tied_model_counts_its_embedding_once(make_release: MakeRelease) -> None:
    tied = Engine.load(make_release(tie_word_embeddings=True)).info.n_params
    assert Engine.load(make_release()).info.n_params - tied == 264 * 48


def test_a_vocabulary_left_open_is_filled_from_the_tokenizer(make_release: MakeRelease) -> None:
    folder = make_release()
    (folder / "params.json").write_text(json.dumps(PARAMS | {"vocab_size": -1}))
    assert read_args(folder, tokenizer_vocab_size=264).vocab_size == 264
    with pytest.raises(CheckpointError, match="leaves the vocabulary to the tokenizer"):
        read_args(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_scaling_factor": 8}, "unknown to this engine: rope_scaling_factor"),
        ({"use_scaled_rope": True}, "scaled rotary"),
        ({"dim": "48"}, "dim must be a whole number"),
        ({"multiple_of": 0}, "multiple_of must be a whole number"),
        ({"norm_eps": "small"}, "norm_eps must be a number"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings must be true or false"),
        ({"n_kv_heads": 4}, "do not fit"),
    ],
)
def test_params_that_we_cannot_run_are_refused(
    make_release: MakeRelease, change: dict[str, Any], message: str
) -> None:
    folder = make_release()
    (folder / "params.json").write_text(json.dumps(PARAMS | change))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_the_width_of_llama_7b_follows_from_its_params(tmp_path: Path) -> None:
    params = {"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-6}
    (tmp_path / "params.json").write_text(json.dumps(params | {"vocab_size": -1}))
    args = read_args(tmp_path, tokenizer_vocab_size=32_000)
    assert (args.hidden_dim, args.n_kv_heads, args.max_seq_len) == (11_008, 32, 2048)


@pytest.fixture
def hugging_face() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=264,
        hidden_size=48,
        intermediate_size=144,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


@torch.inference_mode()
def test_heads_of_another_size_than_their_share_give_transformers_logits(
    hugging_face: LlamaForCausalLM, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    values = hugging_face.config.to_dict() | {"head_dim": 16}
    model = LlamaForCausalLM(LlamaConfig(**values)).eval()
    assert model.model.layers[0].self_attn.q_proj.weight.shape == (96, 48)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(logits(tmp_path), model(TOKENS).logits, atol=1e-4, rtol=1e-4)
    write_byte_tokenizer(tmp_path)
    for dtype in ("float32", "bfloat16", "int8"):
        engine = Engine.load(tmp_path, dtype=dtype)
        found = list(engine.generate(TOKENS[0].tolist(), SamplingParams(max_tokens=4)))
        assert found[-1].finish_reason == "length"


@torch.inference_mode()
@pytest.mark.parametrize("is_embedding", [True, False])
def test_the_head_that_is_saved_with_a_tied_model_counts_as_in_transformers(
    hugging_face: LlamaForCausalLM, tmp_path: Path, is_embedding: bool
) -> None:
    if is_embedding:
        hugging_face.lm_head.weight.data.copy_(hugging_face.model.embed_tokens.weight)
    hugging_face.save_pretrained(tmp_path)
    change_config(tmp_path, tie_word_embeddings=True)
    theirs = LlamaForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(tmp_path), theirs(TOKENS).logits, atol=1e-4, rtol=1e-4)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.args.tied == is_embedding == ("output.weight" not in checkpoint.weights)


@pytest.mark.parametrize("shard_size", ["5GB", "100KB"])
@torch.inference_mode()
def test_the_safetensors_layout_gives_transformers_logits(
    hugging_face: LlamaForCausalLM, tmp_path: Path, shard_size: str
) -> None:
    hugging_face.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard_size == "100KB")
    expected = hugging_face(TOKENS).logits
    torch.testing.assert_close(logits(tmp_path), expected, atol=1e-4, rtol=1e-4)


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "we run LlamaForCausalLM"),
        ({"attention_bias": True}, "biases"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "llama3 rotary scaling"),
        ({"intermediate_size": 96}, "params say"),
        ({"num_hidden_layers": 3}, "lacks model.layers.2"),
        ({"num_hidden_layers": 1}, "does not have: model.layers.1"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    hugging_face: LlamaForCausalLM, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    hugging_face.save_pretrained(tmp_path)
    change_config(tmp_path, **change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_an_index_that_points_outside_the_folder_is_refused(
    hugging_face: LlamaForCausalLM, tmp_path: Path
) -> None:
    hugging_face.save_pretrained(tmp_path)
    index = {"weight_map": {"lm_head.weight": "../model.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="outside its folder"):
        load_checkpoint(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither params\.json nor config\.json"):
        load_checkpoint(tmp_path)
