"""From one layout to the other and back: the same model, whoever reads it."""

import json
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from distribution import folders
from distribution.checkpoints import read_header, validate
from distribution.converting import convert, descriptions, tensors
from distribution.errors import PublishError
from distribution.models import Revision
from tests.distribution import sets
from tests.distribution.weights import Runs, pickled, pth
from tests.inference_sandbox.engine.releases import (
    PARAMS,
    TOKENS,
    cut,
    logits,
    random_weights,
    write_byte_tokenizer,
)

ORIGINAL, SAFETENSORS = Revision.Layout.ORIGINAL, Revision.Layout.SAFETENSORS


def original(
    folder: Path, *, shards: int = 1, dtype: torch.dtype = torch.bfloat16, **changes: Any
) -> Path:
    """A random model in the original layout, cut as LLaMA's model-parallel layers cut it."""
    folder.mkdir()
    params = {**PARAMS, **changes}
    (folder / "params.json").write_text(json.dumps(params))
    cuts = {name: cut(name, t.to(dtype), shards) for name, t in random_weights(params).items()}
    for rank in range(shards):
        table = {name: parts[rank] for name, parts in cuts.items()}
        torch.save(table, folder / f"consolidated.{rank:02d}.pth")
    write_byte_tokenizer(folder)
    return folder


def hugging_face(folder: Path, *, shard_size: str = "5GB", **changes: Any) -> Path:
    """A random model as transformers itself writes it."""
    torch.manual_seed(0)
    config = {
        "vocab_size": 264,
        "hidden_size": 48,
        "intermediate_size": 144,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "bos_token_id": 256,
        "eos_token_id": 258,
    }
    network = LlamaForCausalLM(LlamaConfig(**(config | changes)))
    network.to(torch.bfloat16).save_pretrained(folder, max_shard_size=shard_size)
    write_byte_tokenizer(folder)
    return folder


def add(folder: Path, to: str, *, ranks: int = 1, shard_size: int = 10**9) -> list[str]:
    """Write the other layout into the same folder; the names of its files."""
    made = convert(folder, folders.walk(folder), to=to, ranks=ranks, shard_size=shard_size)
    for file in made:
        file.write(folder / file.path)
    return [file.path for file in made]


def alone(folder: Path, target: Path, layout: str) -> Path:
    """A copy without the other layout."""
    target.mkdir()
    other = {
        SAFETENSORS: ("params.json", ".pth", "checklist.chk"),
        ORIGINAL: ("config.json", ".safetensors", "index.json"),
    }[Revision.Layout(layout)]
    for path in folder.iterdir():
        if not path.name.endswith(other) or path.name in ("tokenizer_config.json",):
            shutil.copy(path, target)
    return target


@torch.inference_mode()
def of_transformers(folder: Path) -> torch.Tensor:
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)(TOKENS).logits


# ---- original → safetensors ----------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("shard_size", [10**9, 60_000])
@pytest.mark.parametrize("tied", [False, True])
def test_transformers_and_our_engine_compute_the_same_of_what_was_converted(
    tmp_path: Path, shards: int, shard_size: int, tied: bool
) -> None:
    changes = {"tie_word_embeddings": True} if tied else {}
    folder = original(tmp_path / "both", shards=shards, **changes)
    expected = logits(folder)
    names = add(folder, SAFETENSORS, shard_size=shard_size)
    assert ("model.safetensors.index.json" in names) == (shard_size == 60_000)
    validate(folder, folders.walk(folder), model_parallel=shards)  # both layouts, each whole
    copy = alone(folder, tmp_path / "alone", SAFETENSORS)
    torch.testing.assert_close(logits(copy), expected, atol=0, rtol=0)
    torch.testing.assert_close(of_transformers(copy), expected, atol=1e-4, rtol=1e-4)


def test_generating_gives_the_same_tokens_and_the_tokenizer_loads(tmp_path: Path) -> None:
    folder = original(tmp_path / "both", shards=3, dtype=torch.float32)
    add(folder, SAFETENSORS, shard_size=100_000)
    copy = alone(folder, tmp_path / "alone", SAFETENSORS)
    network = LlamaForCausalLM.from_pretrained(copy)
    assert (network.config.bos_token_id, network.config.eos_token_id) == (256, 258)
    assert network.config.max_position_embeddings == 64
    assert network.generation_config.eos_token_id == 258
    assert AutoTokenizer.from_pretrained(copy).decode([72, 105])
    prompt = TOKENS[:1]
    wanted = network.generate(prompt, max_new_tokens=12, do_sample=False, eos_token_id=None)
    seen = prompt
    for _ in range(12):
        seen = torch.cat([seen, _next(folder, seen)], 1)
    assert seen.tolist() == wanted.tolist()


def _next(folder: Path, tokens: torch.Tensor) -> torch.Tensor:
    return logits(folder, tokens)[:, -1:].argmax(-1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_every_kind_of_number_keeps_its_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = original(tmp_path / "model", dtype=dtype)
    add(folder, SAFETENSORS)
    table = load_file(folder / "model.safetensors")
    source = torch.load(folder / "consolidated.00.pth")
    assert torch.equal(table["model.embed_tokens.weight"], source["tok_embeddings.weight"])
    assert torch.equal(table["model.norm.weight"], source["norm.weight"])
    assert table["lm_head.weight"].dtype == dtype


def test_an_embedding_that_is_cut_across_the_vocabulary_is_joined_too(tmp_path: Path) -> None:
    folder = original(tmp_path / "model", shards=3)
    whole = random_weights(PARAMS)["tok_embeddings.weight"].to(torch.bfloat16)
    for rank, part in enumerate(whole.chunk(3, 0)):
        table = torch.load(folder / f"consolidated.{rank:02d}.pth")
        torch.save(
            table | {"tok_embeddings.weight": part.clone()}, folder / f"consolidated.{rank:02d}.pth"
        )
    add(folder, SAFETENSORS)
    assert torch.equal(load_file(folder / "model.safetensors")["model.embed_tokens.weight"], whole)


def test_a_tensor_that_does_not_lie_row_after_row_is_read_as_it_is_meant(tmp_path: Path) -> None:
    folder = original(tmp_path / "model")
    path = folder / "consolidated.00.pth"
    table = torch.load(path)
    turned = {name: t.t().contiguous().t() if t.dim() == 2 else t for name, t in table.items()}
    torch.save(turned, path)
    add(folder, SAFETENSORS)
    made = load_file(folder / "model.safetensors")
    assert torch.equal(made["model.embed_tokens.weight"], table["tok_embeddings.weight"])
    assert torch.equal(made["lm_head.weight"], table["output.weight"])


def test_blocks_of_any_size_give_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = original(tmp_path / "model", shards=3)
    contents = set()
    for block in (1, 1000, 10**9):
        monkeypatch.setattr(tensors, "BLOCK", block)
        add(folder, SAFETENSORS)
        contents.add((folder / "model.safetensors").read_bytes())
        for name in ("model.safetensors", "config.json", "generation_config.json"):
            (folder / name).unlink()
    assert len(contents) == 1


def test_the_sentencepiece_tokenizer_of_llama_gets_the_class_that_reads_it(tmp_path: Path) -> None:
    folder = original(tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    assert "tokenizer_config.json" in add(folder, SAFETENSORS)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    assert (told["tokenizer_class"], told["bos_token"]) == ("LlamaTokenizer", "<s>")
    config = json.loads((folder / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)


# ---- safetensors → original ----------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("shard_size", ["5GB", "100KB"])
def test_the_original_layout_of_what_transformers_wrote_computes_the_same(
    tmp_path: Path, ranks: int, shard_size: str
) -> None:
    folder = hugging_face(tmp_path / "both", shard_size=shard_size)
    expected = logits(folder)
    names = add(folder, ORIGINAL, ranks=ranks)
    assert names == [
        *(f"consolidated.{rank:02d}.pth" for rank in range(ranks)),
        "params.json",
        "checklist.chk",
    ]
    validate(folder, folders.walk(folder), model_parallel=ranks)
    copy = alone(folder, tmp_path / "alone", ORIGINAL)
    torch.testing.assert_close(logits(copy), expected, atol=0, rtol=0)
    done = subprocess.run(["md5sum", "-c", "checklist.chk"], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_what_we_write_is_what_torch_writes(tmp_path: Path) -> None:
    """Loaded strictly, mapped into memory, and aligned for it; the same bytes each time."""
    folder = hugging_face(tmp_path / "model")
    add(folder, ORIGINAL)
    path = folder / "consolidated.00.pth"
    table = torch.load(path, weights_only=True, mmap=True)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in table.values())
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in table.values())
    assert table.keys() == read_header(path).keys()
    first = path.read_bytes()
    for name in ("consolidated.00.pth", "params.json", "checklist.chk"):
        (folder / name).unlink()
    add(folder, ORIGINAL)
    assert path.read_bytes() == first


def test_there_and_back_every_tensor_is_as_it_was(tmp_path: Path) -> None:
    folder = original(tmp_path / "first", shards=3)
    add(folder, SAFETENSORS, shard_size=50_000)
    back = alone(folder, tmp_path / "back", SAFETENSORS)
    add(back, ORIGINAL, ranks=3)
    for rank in range(3):
        name = f"consolidated.{rank:02d}.pth"
        before, after = torch.load(folder / name), torch.load(back / name)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_record_of_more_than_two_gigabytes_is_marked_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form for large records, tried on small ones."""
    folder = hugging_face(tmp_path / "model")
    monkeypatch.setattr("distribution.converting.pth_files.LARGE", 100)
    add(folder, ORIGINAL)
    table = torch.load(folder / "consolidated.00.pth", weights_only=True, mmap=True)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in table.values())
    validate(folder, folders.walk(folder), model_parallel=1)


@given(st.integers(1, 8), st.sampled_from([2, 4, 64, 128]))
def test_the_two_rotary_orders_undo_each_other(heads: int, dim: int) -> None:
    there, back = tensors.to_hugging_face(heads, dim), tensors.to_original(heads, dim)
    assert (there[back] == np.arange(heads * dim)).all()
    assert (np.sort(there) == np.arange(heads * dim)).all()
    # The published recipe: view(heads, dim // 2, 2).transpose(1, 2)
    rows = torch.arange(heads * dim).view(heads, dim // 2, 2).transpose(1, 2).reshape(-1)
    assert there.tolist() == rows.tolist()


@given(st.integers(1, 4096).map(lambda n: n * 2), st.integers(1, 60_000))
def test_any_width_is_told_by_params_json(dim: int, hidden: int) -> None:
    told = descriptions._widths(dim, hidden)
    multiple, factor = told["multiple_of"], told.get("ffn_dim_multiplier", 1)
    base = int(factor * int(2 * (4 * dim) / 3))
    assert multiple * -(-base // multiple) == hidden


@pytest.mark.parametrize(
    ("dim", "hidden", "multiple", "factor"),
    [(4096, 11008, 256, None), (8192, 22016, 256, None), (4096, 14336, 1024, 1.3)],
)
def test_the_widths_of_llama_are_told_as_llama_tells_them(
    dim: int, hidden: int, multiple: int, factor: float | None
) -> None:
    assert descriptions._widths(dim, hidden) == {"multiple_of": multiple} | (
        {"ffn_dim_multiplier": factor} if factor else {}
    )


# ---- what is refused -----------------------------------------------------------------------------


def test_a_layout_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    folder = original(tmp_path / "model")
    add(folder, SAFETENSORS)
    for to in (SAFETENSORS, ORIGINAL):
        with pytest.raises(PublishError, match="already"):
            add(folder, to)


def test_a_file_is_not_made_beside_one_that_differs_in_case_alone(tmp_path: Path) -> None:
    folder = original(tmp_path / "model")
    (folder / "Config.json").write_text("{}")
    with pytest.raises(PublishError, match=r"has config\.json already"):
        add(folder, SAFETENSORS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_scaled_rope": True}, "scaled rotary"),
        ({"moe": {"experts": 8}}, "unknown here: moe"),
    ],
)
def test_params_that_config_json_cannot_say_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = original(tmp_path / "model")
    params = json.loads((folder / "params.json").read_text())
    (folder / "params.json").write_text(json.dumps(params | change))
    with pytest.raises(PublishError, match=said):
        add(folder, SAFETENSORS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "another architecture"),
        ({"attention_bias": True}, "biases"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "scaled rotary"),
        ({"head_dim": 64}, "head_dim"),
    ],
)
def test_a_config_that_params_json_cannot_say_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = hugging_face(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(PublishError, match=said):
        add(folder, ORIGINAL)


def test_a_number_of_shards_that_does_not_divide_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="cannot be cut into 5 shards"):
        add(hugging_face(tmp_path / "model"), ORIGINAL, ranks=5)


def test_quantised_weights_have_no_other_layout(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="The weights are quantised"):
        add(sets.quantised(tmp_path / "gptq", "gptq", sets.gptq), ORIGINAL)
    folder = original(tmp_path / "model")
    table = torch.load(folder / "consolidated.00.pth")
    torch.save(table | {"norm.weight": torch.ones(8).char()}, folder / "consolidated.00.pth")
    with pytest.raises(PublishError, match="The weights are quantised"):
        add(folder, SAFETENSORS)


def test_a_head_that_was_saved_with_a_tied_model_is_kept(tmp_path: Path) -> None:
    folder = sets.llama(
        tmp_path / "model", tie_word_embeddings=True, more={"lm_head.weight": torch.ones(264, 16)}
    )
    add(folder, ORIGINAL)
    made = torch.load(folder / "consolidated.00.pth")
    assert torch.equal(made["output.weight"], torch.ones(264, 16))
    assert "tie_word_embeddings" not in json.loads((folder / "params.json").read_text())


def test_where_the_ranks_differ_in_a_norm_the_first_one_counts(tmp_path: Path) -> None:
    """As in LLaMA 3 70B, whose own converters take the first rank's."""
    folder = original(tmp_path / "model", shards=3)
    path = folder / "consolidated.02.pth"
    table = torch.load(path)
    torch.save(table | {"norm.weight": table["norm.weight"] + 1}, path)
    add(folder, SAFETENSORS)
    made = load_file(folder / "model.safetensors")
    assert torch.equal(made["model.norm.weight"], table["norm.weight"])


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = original(tmp_path / "model")
    proof = tmp_path / "ran"
    pth(folder / "consolidated.00.pth", pickled(Runs(Path.touch, proof)))
    with pytest.raises(PublishError, match="weights only"):
        add(folder, SAFETENSORS)
    assert not proof.exists()


def test_our_pickles_name_nothing_but_tensors(tmp_path: Path) -> None:
    import pickletools
    import zipfile

    folder = hugging_face(tmp_path / "model")
    add(folder, ORIGINAL)
    with zipfile.ZipFile(folder / "consolidated.00.pth") as archive:
        content = archive.read("consolidated/data.pkl")
    named = {argument for op, argument, _ in pickletools.genops(content) if op.name == "GLOBAL"}
    assert named == {
        "torch._utils _rebuild_tensor_v2",
        "torch BFloat16Storage",
        "collections OrderedDict",
    }
    with pytest.raises(pickle.UnpicklingError):  # a persistent id: nothing loads without a reader
        pickle.loads(content)


def test_a_file_that_shares_a_storage_is_read_right(tmp_path: Path) -> None:
    """Two tensors on one storage, each with its own offset, as torch saves views."""
    storage = torch.arange(40, dtype=torch.float32)
    torch.save({"a": storage[4:16].view(3, 4), "b": storage[16:40].view(6, 4)}, tmp_path / "x.pth")
    places = tensors_of(tmp_path / "x.pth")
    assert places["a"].tolist() == storage[4:16].view(3, 4).tolist()
    assert places["b"].tolist() == storage[16:40].view(6, 4).tolist()
    save_file({"a": storage.clone()}, tmp_path / "x.safetensors")


def tensors_of(path: Path) -> dict[str, np.ndarray]:
    from distribution.checkpoints.headers import places_in_pth

    return {
        name: np.frombuffer(b"".join(tensors.Whole((place,), None).blocks()), np.float32).reshape(
            place.tensor.shape
        )
        for name, place in places_in_pth(path).items()
    }
