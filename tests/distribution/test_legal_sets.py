"""Every legal set is handed out; what the sandbox cannot run is said when it is published."""

import json
import zipfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings
from safetensors.torch import save_file

from access_requests.models import Tier
from distribution.errors import PublishError
from distribution.models import Revision
from distribution.services import publish, publish_folder
from portal.accounts.models import Account, Scope
from portal.catalog.models import Release
from tests.distribution import sets
from tests.distribution.published import nothing_is_published
from tests.distribution.weights import Runs, granted, original, pickled, pth, shard
from tests.inference_sandbox.engine.releases import make_small, write_byte_tokenizer
from tests.people import signed_in, with_token

LLAMA = "meta/llama-7b"
Make = Callable[[Path], Path]


def variants(folder: Path) -> Path:
    """The same model once more in another type, under the name that `variant="fp16"` asks for."""
    tensors = {name: tensor.half() for name, tensor in sets.tensors_of(sets.LLAMA).items()}
    sets.llama(folder)
    save_file(tensors, folder / "model.fp16.safetensors")
    return folder


def scales_beside(folder: Path) -> Path:
    sets.llama(folder)
    sets.raw_safetensors(folder / "scales.safetensors", "F8_E8M0")
    return folder


RUN: dict[str, Make] = {
    "plain": sets.llama,
    "head_dim": lambda folder: sets.llama(folder, head_dim=8),
    "heads that do not divide": lambda folder: sets.llama(folder, hidden_size=18, head_dim=8),
    "tied": lambda folder: sets.llama(folder, tie_word_embeddings=True),
    "tied, its head saved": lambda folder: sets.llama(
        folder, tie_word_embeddings=True, more={"lm_head.weight": torch.ones(264, 16)}
    ),
    "vocabulary padded": lambda folder: sets.llama(folder, vocab_size=320),
    "a variant beside it": variants,
    "scales of another program beside it": scales_beside,
    "original": lambda folder: make_small(folder),
}


@pytest.mark.parametrize("make", RUN.values(), ids=RUN.keys())
def test_a_set_that_the_engine_runs_has_no_note(
    release: Release, tmp_path: Path, make: Make
) -> None:
    assert publish(make(tmp_path / "set"), repo_id=LLAMA, actor=None).sandbox_note == ""


def int8_original(folder: Path) -> Path:
    """As LLaMA 3.2 came quantised: integers, their scales, and a params.json that says so."""
    original(folder, quantization_args={"group_size": 32})
    torch.save(
        {"norm.weight": torch.ones(8), "layers.0.attention.wq.weight": torch.ones(8, 8).char()},
        folder / "consolidated.00.pth",
    )
    return folder


def int8_norm(folder: Path) -> Path:
    original(folder, vocab_size=32)
    torch.save(shard(**{"norm.weight": torch.ones(8).char()}), folder / "consolidated.00.pth")
    return folder


def float8_original(folder: Path) -> Path:
    """torch writes types that have no storage of their own otherwise."""
    original(folder, fp8=True)
    weights = {
        "a": torch.ones(4, 2).to(torch.float8_e4m3fn),
        "b": torch.ones(2, dtype=torch.uint16),
    }
    parameter = torch.nn.Parameter(torch.ones(2))
    torch.save({**weights, "c": parameter}, folder / "consolidated.00.pth")
    return folder


BERT = ["bert.encoder.layer.0.output.LayerNorm.weight", "bert.embeddings.word_embeddings.weight"]
NOTED: dict[str, tuple[Make, str]] = {
    "attention bias": (lambda f: sets.llama(f, attention_bias=True), "asks for biases"),
    "bias of the feed-forward": (lambda f: sets.llama(f, mlp_bias=True), "asks for biases"),
    "rope of llama3": (
        lambda f: sets.llama(f, rope_scaling={"rope_type": "llama3", "factor": 8.0}),
        "llama3 rotary scaling",
    ),
    "yarn": (
        lambda f: sets.llama(f, rope_parameters={"rope_type": "yarn", "rope_theta": 1e4}),
        "yarn rotary scaling",
    ),
    "a tensor more": (
        lambda f: sets.llama(f, more={"extra.weight": torch.ones(4)}),
        "tensors this model does not have: extra.weight",
    ),
    "GPTQ": (lambda f: sets.quantised(f, "gptq", sets.gptq), "quantised (gptq)"),
    "GPTQ that does not say so": (
        lambda f: sets.quantised(f, "", sets.gptq),
        "lacks model.layers.0.mlp.down_proj.weight",
    ),
    "AWQ": (lambda f: sets.quantised(f, "awq", sets.gptq), "quantised (awq)"),
    "bitsandbytes": (
        lambda f: sets.quantised(f, "bitsandbytes", sets.bitsandbytes),
        "quantised (bitsandbytes)",
    ),
    "compressed-tensors": (
        lambda f: sets.quantised(f, "compressed-tensors", sets.compressed_tensors),
        "quantised (compressed-tensors)",
    ),
    "FP8": (lambda f: sets.quantised(f, "fp8", sets.float8), "quantised (fp8)"),
    "FP8 that does not say so": (
        lambda f: sets.quantised(
            f, "", lambda name, t: {f"{name}.weight": t.to(torch.float8_e5m2)}
        ),
        "is F8_E5M2, not floating point",
    ),
    "Mistral": (
        lambda f: sets.other(
            f, "MistralForCausalLM", ["model.norm.weight"], {"tokenizer.json": {}}
        ),
        "of MistralForCausalLM",
    ),
    "mixture of experts": (
        lambda f: sets.other(f, "MixtralForCausalLM", ["model.layers.0.experts.0.w1.weight"], {}),
        "of MixtralForCausalLM",
    ),
    "GPT-2": (
        lambda f: sets.other(
            f, "GPT2LMHeadModel", ["wte.weight"], {"vocab.json": {}, "merges.txt": b""}
        ),
        "of GPT2LMHeadModel",
    ),
    "BERT": (lambda f: sets.other(f, "BertModel", BERT, {"vocab.txt": b"a\n"}), "of BertModel"),
    "no architecture": (
        lambda f: sets.model(f, {"model_type": "x"}, {"a": torch.ones(2)}, tokenizer=False),
        "an architecture that it does not name",
    ),
    "adapter": (sets.adapter, "neither params.json nor config.json"),
    "pipeline": (sets.diffusion, "neither params.json nor config.json"),
    "GGUF": (
        lambda f: sets.with_files(f, {"llama.Q4_K_M.gguf": sets.GGUF}),
        "neither params.json nor config.json",
    ),
    "GGUF in two files": (
        lambda f: sets.with_files(
            f, {f"x-0000{number}-of-00002.gguf": sets.GGUF for number in (1, 2)}
        ),
        "neither params.json nor config.json",
    ),
    "pytorch_model.bin": (sets.bin_shards, "neither model.safetensors nor"),
    "Mistral's own layout": (sets.mistral_original, "keys unknown to this engine: head_dim"),
    "scaled rope of the original": (
        lambda f: original(f, use_scaled_rope=True),
        "scaled rotary embeddings",
    ),
    "quantised original": (int8_original, "unknown to this engine: quantization_args"),
    "integers in the original": (int8_norm, "norm.weight in consolidated.00.pth is I8"),
    "float8 in the original": (float8_original, "unknown to this engine: fp8"),
}


@pytest.mark.parametrize(("make", "cause"), NOTED.values(), ids=NOTED.keys())
def test_a_set_that_the_engine_does_not_run_is_published_with_a_note(
    release: Release, tmp_path: Path, make: Make, cause: str
) -> None:
    folder = make(tmp_path / "set")
    revision = publish(folder, repo_id=LLAMA, actor=None)
    assert revision.sandbox_note.startswith("The sandbox cannot run this because ")
    assert cause in revision.sandbox_notes["model"]
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {artifact.path for artifact in revision.artifacts.all()} == paths


@pytest.mark.parametrize(
    "dtype", ["F8_E8M0", "F8_E4M3FNUZ", "F6_E2M3", "F4", "C64", "U16", "I64", "BOOL", "F64"]
)
def test_every_type_of_safetensors_is_read_and_its_size_is_checked(
    release: Release, tmp_path: Path, dtype: str
) -> None:
    folder = sets.adapter(tmp_path / "set")
    path = sets.raw_safetensors(folder / "scales.safetensors", dtype)
    publish(folder, repo_id=LLAMA, actor=None)
    sets.raw_safetensors(path, dtype, missing=1)
    with pytest.raises(PublishError, match="cut short"):
        publish(folder, repo_id=LLAMA, actor=None)


def test_a_tokenizer_that_cannot_be_used_is_a_note_of_its_own(
    release: Release, tmp_path: Path, settings: Settings
) -> None:
    folder = sets.llama(tmp_path / "set", attention_bias=True)
    (folder / "tokenizer_config.json").write_text("{}")
    revision = publish(folder, repo_id=LLAMA, actor=None)
    assert "biases" in revision.sandbox_note
    settings.SANDBOX_ENGINE_URL = "http://127.0.0.1:9/v1"  # which may run what ours does not
    assert "nothing says which token ends a text" in revision.sandbox_note
    write_byte_tokenizer(folder)
    assert publish(folder, repo_id=LLAMA, actor=None).sandbox_note == ""
    settings.SANDBOX_ENGINE_URL = ""
    assert "biases" in Revision.objects.get(is_current=True).sandbox_note


def test_a_tokenizer_that_is_none_is_the_only_cause_where_all_else_fits(
    release: Release, tmp_path: Path
) -> None:
    revision = publish(original(tmp_path / "set"), repo_id=LLAMA, actor=None)
    assert revision.sandbox_notes == {"tokenizer": "tokenizer.model is not a sentencepiece model."}


def test_published_again_a_set_gets_the_note_of_today(release: Release, tmp_path: Path) -> None:
    folder = sets.llama(tmp_path / "set")
    revision = publish(folder, repo_id=LLAMA, actor=None)
    Revision.objects.update(sandbox_notes={"model": "an older engine did not run it."})
    again = publish_folder(folder, repo_id=LLAMA, actor=None)
    assert (again.revision, again.changed) == (revision, False)
    assert again.revision.sandbox_note == ""


def test_the_command_says_the_note(release: Release, tmp_path: Path) -> None:
    folder, out = sets.quantised(tmp_path / "set", "gptq", sets.gptq), StringIO()
    call_command("publish", str(folder), repo=LLAMA, stdout=out, verbosity=0)
    said = "The sandbox cannot run this because the weights are quantised (gptq)"
    assert said in out.getvalue()
    assert "People can download it all the same." in out.getvalue()
    call_command(
        "publish", str(sets.llama(tmp_path / "run")), repo=LLAMA, stdout=(out := StringIO())
    )
    assert "sandbox" not in out.getvalue()


def test_quantised_weights_and_adapters_say_nothing_of_parameters(
    release: Release, tmp_path: Path
) -> None:
    """The catalogue announces the model's number, and theirs is another."""
    Release.objects.update(parameters=7_000_000_000)
    gptq = publish(sets.quantised(tmp_path / "q", "gptq", sets.gptq), repo_id=LLAMA, actor=None)
    assert "parameters" not in gptq.facts
    publish(sets.adapter(tmp_path / "adapter"), repo_id=LLAMA, actor=None)
    release.refresh_from_db()
    assert release.parameters == 7_000_000_000
    with pytest.raises(PublishError, match="not what the catalogue announces"):
        publish(sets.llama(tmp_path / "plain"), repo_id=LLAMA, actor=None)


def test_the_note_is_on_the_pages_of_the_release_and_the_files_are_handed_out(
    release: Release, tmp_path: Path, alice: Account, manager: Account, client: Client
) -> None:
    revision = publish(sets.adapter(tmp_path / "set"), repo_id=LLAMA, actor=None)
    release.refresh_from_db()
    granted(alice, release)
    note = revision.sandbox_note
    page = signed_in(alice).get(release.get_absolute_url()).content.decode()
    assert note in page
    assert "try them in the sandbox" not in page
    files = signed_in(alice).get(f"/releases/{release.slug}/files/").content.decode()
    assert note in files
    assert "adapter_model.safetensors" in files
    admin = f"/admin/distribution/revision/{revision.pk}/change/"
    assert note in signed_in(manager).get(admin).content.decode()
    hub = with_token(alice, Scope.READ, Scope.DOWNLOAD)
    info = hub.get(f"/api/models/{LLAMA}").json()
    assert {"rfilename": "adapter_model.safetensors"} in info["siblings"]
    answer = hub.get(f"/{LLAMA}/resolve/{revision.digest}/adapter_config.json")
    assert answer.status_code in (200, 302)


def test_a_set_without_a_note_has_none_on_its_page(
    release: Release, tmp_path: Path, alice: Account
) -> None:
    publish(sets.llama(tmp_path / "set"), repo_id=LLAMA, actor=None)
    release.refresh_from_db()
    granted(alice, release)
    page = signed_in(alice).get(release.get_absolute_url()).content.decode()
    assert "sandbox cannot run" not in page
    assert "or try them in the sandbox." in page


def test_whose_grant_covers_the_sandbox_alone_is_not_sent_there(
    release: Release, tmp_path: Path, alice: Account
) -> None:
    revision = publish(sets.adapter(tmp_path / "set"), repo_id=LLAMA, actor=None)
    release.refresh_from_db()
    granted(alice, release, tier=Tier.TRY)
    page = signed_in(alice).get(release.get_absolute_url()).content.decode()
    assert "/sandbox/?release=" not in page
    assert revision.sandbox_note in page.split("Your next step")[1]


# ---- What is broken or dangerous stays refused ---------------------------------------------------


def lacks_a_gguf(folder: Path) -> Path:
    return sets.with_files(folder, {"x-00001-of-00003.gguf": sets.GGUF})


def lacks_a_bin(folder: Path) -> Path:
    (sets.bin_shards(folder) / "pytorch_model-00002-of-00002.bin").unlink()
    return folder


def index_promises_too_much(folder: Path) -> Path:
    index = json.loads((sets.bin_shards(folder) / "pytorch_model.bin.index.json").read_text())
    index["weight_map"]["ghost.weight"] = "pytorch_model-00001-of-00002.bin"
    return sets.with_files(folder, {"pytorch_model.bin.index.json": index})


def cut_adapter(folder: Path) -> Path:
    path = sets.adapter(folder) / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    return folder


def adapter_with_code(folder: Path) -> Path:
    sets.adapter(folder)
    pth(folder / "adapter_model.bin", pickled(Runs(Path.touch, folder / "ran")))
    return folder


def lacks_biases(folder: Path) -> Path:
    return sets.model(folder, sets.LLAMA | {"attention_bias": True}, sets.tensors_of(sets.LLAMA))


def of_fewer_layers(folder: Path) -> Path:
    config = sets.LLAMA | {"num_hidden_layers": 1}
    return sets.model(folder, config, sets.tensors_of(sets.LLAMA))


def of_another_head(folder: Path) -> Path:
    return sets.model(folder, sets.LLAMA | {"head_dim": 8}, sets.tensors_of(sets.LLAMA))


def two_models(folder: Path) -> Path:
    sets.llama(folder)
    (folder / "model-00001-of-00001.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()
    )
    names = dict.fromkeys(sets.tensors_of(sets.LLAMA), "model-00001-of-00001.safetensors")
    return sets.with_files(folder, {"model.safetensors.index.json": {"weight_map": names}})


def nothing_but_a_tokenizer(folder: Path) -> Path:
    return sets.with_files(folder, {"tokenizer.json": {}, "config.json": {}})


def lies_about_a_type(folder: Path) -> Path:
    """A tensor of wider elements than its bytes are enough for."""
    path = original(folder, fp8=True) / "consolidated.00.pth"
    torch.save({"a": torch.ones(4, dtype=torch.uint16)}, path)
    with zipfile.ZipFile(path) as archive:
        pickle, record = (
            archive.read(f"consolidated.00/{name}") for name in ("data.pkl", "data/0")
        )
    assert pickle.count(b"uint16") == 1
    pth(path, pickle.replace(b"uint16", b"uint64"), **{"data/0": record})
    return folder


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lacks_a_gguf, "missing: x-00002-of-00003.gguf, x-00003-of-00003.gguf"),
        (lacks_a_bin, "disagree about pytorch_model-00002-of-00002.bin"),
        (index_promises_too_much, "its index disagree about ghost.weight"),
        (cut_adapter, "adapter_model.safetensors is cut short"),
        (adapter_with_code, "weights only"),
        (lacks_biases, "lacks model.layers.0.self_attn.k_proj.bias"),
        (of_fewer_layers, "does not have: model.layers.1"),
        (of_another_head, "config.json makes it (32, 16)"),
        (two_models, "disagree about model.safetensors"),
        (nothing_but_a_tokenizer, "holds neither params.json"),
        (lies_about_a_type, "a says (4,) of U64, its record has 8 bytes"),
    ],
)
def test_a_set_that_is_broken_or_dangerous_stays_refused(
    release: Release, tmp_path: Path, make: Make, said: str
) -> None:
    folder = make(tmp_path / "set")
    with pytest.raises(PublishError) as refused:
        publish(folder, repo_id=LLAMA, actor=None)
    assert said in str(refused.value).replace("these of them are ", "")
    assert nothing_is_published(release)
    assert not (folder / "ran").exists()
