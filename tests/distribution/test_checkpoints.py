"""What a folder of weights must be before anybody gets it: each fault is named, and nothing in
it is ever run.
"""

import json
import os
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distribution import checkpoints, folders
from distribution.checkpoints.headers import MAX_HEADER, Tensor, read_header
from distribution.errors import PublishError
from distribution.models import Revision
from tests.distribution.weights import Runs, original, pickled, pth, safetensors, shard


def refusal(folder: Path, model_parallel: int = 1) -> str:
    with pytest.raises(PublishError) as error:
        checkpoints.validate(folder, folders.walk(folder), model_parallel=model_parallel)
    return str(error.value)


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_a_whole_checkpoint_is_accepted(tmp_path: Path, shards: int) -> None:
    folder = original(tmp_path, shards)
    layout = checkpoints.validate(folder, folders.walk(folder), model_parallel=shards)
    assert layout == Revision.Layout.ORIGINAL


def test_the_header_says_what_torch_wrote(tmp_path: Path) -> None:
    torch.save(shard(), tmp_path / "a.pth")
    expected = {name: tuple(tensor.shape) for name, tensor in shard().items()}
    header = read_header(tmp_path / "a.pth")
    assert {name: tensor.shape for name, tensor in header.items()} == expected
    assert header["norm.weight"].dtype == "BF16"
    assert header["rope.freqs"].dtype == "F32"


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (torch.float16, "F16"),
        (torch.float64, "F64"),
        (torch.int8, "I8"),
        (torch.bool, "BOOL"),
        (torch.uint8, "U8"),
    ],
)
def test_every_type_is_read_under_its_name(tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    torch.save({"x": torch.zeros(3, 2, dtype=dtype)}, tmp_path / "a.pth")
    assert read_header(tmp_path / "a.pth") == {"x": Tensor(name, (3, 2))}


def test_a_state_dict_with_metadata_and_shared_tensors_is_read(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[1].weight = model[0].weight
    torch.save(model.state_dict(), tmp_path / "a.pth")
    assert len(read_header(tmp_path / "a.pth")) == 4


def test_reading_headers_never_imports_torch(tmp_path: Path) -> None:
    folder = original(tmp_path)
    code = (
        "import sys, django; django.setup()\n"
        "from pathlib import Path\n"
        "from distribution import checkpoints, folders\n"
        f"folder = Path({str(folder)!r})\n"
        "checkpoints.validate(folder, folders.walk(folder), model_parallel=1)\n"
        "assert 'torch' not in sys.modules"
    )
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "portal.settings"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


# ---- a pickle with code in it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bomb", "named"),
    [
        (lambda mark: Runs(os.system, f"touch {mark}"), "posix.system"),
        (lambda mark: Runs(eval, f"open({str(mark)!r}, 'w')"), "builtins.eval"),
        (lambda mark: Runs(subprocess.Popen, ["touch", str(mark)]), "subprocess.Popen"),
        (lambda mark: Runs(getattr, {}, "clear"), "builtins.getattr"),
        (lambda mark: {"norm.weight": Runs(torch.load, str(mark))}, "torch.serialization.load"),
    ],
)
def test_a_pickle_with_code_is_refused_by_the_name_of_what_it_calls(
    tmp_path: Path, bomb, named: str
) -> None:
    folder, mark = original(tmp_path / "weights"), tmp_path / "it ran"
    pth(folder / "consolidated.00.pth", pickled(bomb(mark)))
    said = refusal(folder)
    assert "refused: weights only" in said
    assert f"`{named}`" in said
    assert not mark.exists()


def test_a_pickle_with_code_is_refused_beside_good_weights_too(tmp_path: Path) -> None:
    folder = original(tmp_path)
    pth(folder / "optimizer.pt", pickled(Runs(os.system, "true")))
    assert "optimizer.pt is refused: weights only" in refusal(folder)


def test_a_whole_saved_model_is_refused(tmp_path: Path) -> None:
    folder = original(tmp_path)
    torch.save(torch.nn.Linear(2, 2), folder / "consolidated.00.pth")
    assert "torch.nn.modules.linear.Linear" in refusal(folder)


def test_an_archive_with_compiled_code_is_refused(tmp_path: Path) -> None:
    folder = original(tmp_path)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(folder / "consolidated.00.pth"))
    assert "TorchScript archive, which holds code" in refusal(folder)


@pytest.mark.parametrize(
    "opcodes",
    [
        b"\x80\x02\x82\x01.",  # EXT1: a global by number
        b"\x80\x02U\x05posixU\x06system\x93.",  # STACK_GLOBAL
        b"(iposix\nsystem\n.",  # INST
        b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # BINBYTES8 of an absurd length
        b"\x80\x02]" + b"(" * 100_000 + b".",
        b"",
    ],
)
def test_bytes_that_are_no_checkpoint_are_refused_quickly(tmp_path: Path, opcodes: bytes) -> None:
    with pytest.raises(PublishError):
        assert read_header(pth(tmp_path / "a.pth", opcodes)) is None


def test_a_pickle_of_nine_bytes_cannot_claim_gigabytes(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_header(pth(tmp_path / "a.pth", b"\x80\x02}r\xff\xff\xff\xff.")) == {}  # LONG_BINPUT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.floats(0, 0.999), byte=st.integers(0, 255))
@example(position=0.0, byte=0)
def test_one_wrong_byte_in_a_pickle_is_read_or_refused_but_never_crashes(
    tmp_path: Path, position: float, byte: int
) -> None:
    torch.save({"x": torch.zeros(3)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as archive:
        content = bytearray(archive.read("good/data.pkl"))
    content[int(position * len(content))] = byte
    path = pth(tmp_path / "bad.pth", bytes(content), **{"data/0": bytes(12)})
    try:
        header = read_header(path)
    except PublishError:
        return
    assert all(isinstance(tensor, Tensor) for tensor in header.values())


def test_a_pickle_cannot_rewrite_what_was_checked(tmp_path: Path) -> None:
    """BUILD sets attributes on whatever lies on the stack."""
    torch.save({"x": torch.zeros(3)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as archive:
        content = archive.read("good/data.pkl")
    # After the tensor is made (REDUCE), before it goes into the table: shape = "no number".
    made = content.rindex(b"R")
    end = content.index(b"s.", made)
    build = b"}U\x05shapeU\x09no numbersb"
    path = pth(tmp_path / "bad.pth", content[:end] + build + content[end:], **{"data/0": bytes(12)})
    with pytest.raises(PublishError):
        read_header(path)


@pytest.mark.parametrize(("field", "value"), [(6, b"\x01\x00"), (8, b"\x63\x00")])
def test_an_archive_that_is_locked_or_packed_in_an_unknown_way_is_refused(
    tmp_path: Path, field: int, value: bytes
) -> None:
    """The flags and the method of its records, in the archive's own table."""
    torch.save({"x": torch.zeros(3)}, tmp_path / "good.pth")
    content = bytearray((tmp_path / "good.pth").read_bytes())
    for magic, offset in ((b"PK\x03\x04", field), (b"PK\x01\x02", field + 2)):
        at = content.find(magic)
        while at >= 0:
            content[at + offset : at + offset + 2] = value
            at = content.find(magic, at + 4)
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(PublishError, match="cannot be read as weights"):
        read_header(tmp_path / "bad.pth")


# ---- shards that do not fit ----------------------------------------------------------------------


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = original(tmp_path, 4)
    (folder / "consolidated.02.pth").unlink()
    assert "missing consolidated.02.pth" in refusal(folder, 4)


def test_a_missing_last_shard_is_told_from_the_catalogue(tmp_path: Path) -> None:
    folder = original(tmp_path, 4)
    (folder / "consolidated.03.pth").unlink()
    said = refusal(folder, 4)
    assert "3 shards" in said
    assert "catalogue says 4" in said


def test_too_many_shards_are_refused(tmp_path: Path) -> None:
    assert "2 shards, the catalogue says 1" in refusal(original(tmp_path, 2), 1)


def test_shards_of_different_shapes_are_refused(tmp_path: Path) -> None:
    folder = original(tmp_path, 2)
    torch.save(
        shard(2, **{"norm.weight": torch.ones(4, dtype=torch.bfloat16)}),
        folder / "consolidated.01.pth",
    )
    said = refusal(folder, 2)
    assert (
        "norm.weight is BF16 (8,) in consolidated.00.pth but BF16 (4,) in consolidated.01.pth"
        in said
    )


def test_shards_of_different_types_are_refused(tmp_path: Path) -> None:
    folder = original(tmp_path, 2)
    torch.save(shard(2, **{"norm.weight": torch.ones(8)}), folder / "consolidated.01.pth")
    assert "BF16 (8,) in consolidated.00.pth but F32 (8,)" in refusal(folder, 2)


def test_shards_with_different_tensors_are_refused(tmp_path: Path) -> None:
    folder = original(tmp_path, 2)
    torch.save(shard(2, **{"norm.weight": None}), folder / "consolidated.01.pth")
    assert "only one of them has norm.weight" in refusal(folder, 2)


def test_params_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = original(tmp_path, 2, dim=16)
    said = refusal(folder, 2)
    assert "has shape" in said
    assert "params.json and 2 shards make it" in said


@pytest.mark.parametrize("layers", [1, 3])
def test_params_with_another_number_of_layers_are_refused(tmp_path: Path, layers: int) -> None:
    said = refusal(original(tmp_path, n_layers=layers))
    assert "layers." in said


def test_an_absent_output_layer_needs_a_word_in_params(tmp_path: Path) -> None:
    folder = original(tmp_path)
    torch.save(shard(**{"output.weight": None}), folder / "consolidated.00.pth")
    assert '"tie_word_embeddings": true' in refusal(folder)
    folder = original(tmp_path, tie_word_embeddings=True)
    torch.save(shard(**{"output.weight": None}), folder / "consolidated.00.pth")
    assert (
        checkpoints.validate(folder, folders.walk(folder), model_parallel=1)
        == Revision.Layout.ORIGINAL
    )


@pytest.mark.parametrize(
    "params",
    [
        {"dim": 0},
        {"dim": "8"},
        {"n_heads": 3},
        {"n_layers": 10**9},
        {"multiple_of": -1},
        {"dim": True},
        {"vocab_size": 0},
        {"ffn_dim_multiplier": "x"},
    ],
)
def test_params_that_make_no_sense_are_refused(tmp_path: Path, params: dict) -> None:
    assert "params.json" in refusal(original(tmp_path, **params))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "[" * 100_000])
def test_params_that_are_no_object_are_refused(tmp_path: Path, text: str) -> None:
    folder = original(tmp_path)
    (folder / "params.json").write_text(text)
    assert "params.json" in refusal(folder)


def test_a_missing_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = original(tmp_path)
    (folder / "tokenizer.model").unlink()
    assert "tokenizer.model or tokenizer.json" in refusal(folder)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    assert "neither params.json" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_cut_shard_is_refused(tmp_path: Path, kept: float) -> None:
    folder = original(tmp_path)
    path = folder / "consolidated.00.pth"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content) if 0 < kept < 1 else kept)])
    said = refusal(folder)
    assert said.startswith(
        (
            "consolidated.00.pth cannot be read",
            "consolidated.00.pth is cut",
            "consolidated.00.pth is empty",
        )
    )


def test_a_shard_whose_tensor_lost_its_bytes_is_refused(tmp_path: Path) -> None:
    folder = original(tmp_path)
    path = folder / "consolidated.00.pth"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:-2] if name.endswith("/data/0") else content)
    assert "its record has" in refusal(folder)


# ---- safetensors ---------------------------------------------------------------------------------


def test_a_safetensors_folder_is_accepted(tmp_path: Path) -> None:
    folder = safetensors(tmp_path)
    assert (
        checkpoints.validate(folder, folders.walk(folder), model_parallel=8)
        == Revision.Layout.SAFETENSORS
    )


def test_a_folder_may_carry_both_layouts(tmp_path: Path) -> None:
    folder = original(safetensors(tmp_path))
    assert (
        checkpoints.validate(folder, folders.walk(folder), model_parallel=1)
        == Revision.Layout.ORIGINAL
    )
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "disagree about model-00002-of-00002.safetensors" in refusal(folder)


def test_an_index_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    folder = safetensors(tmp_path)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["ghost.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    assert "disagree about ghost.weight" in refusal(folder)


def test_an_index_that_points_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = safetensors(tmp_path)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["ghost.weight"] = "../../etc/passwd"
    index.write_text(json.dumps(content))
    assert "names a file that is not beside it: '../../etc/passwd'" in refusal(folder)


def test_config_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = safetensors(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 32}))
    assert "config.json makes it" in refusal(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", MAX_HEADER + 1) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}" + b"trailing",
        struct.pack("<Q", 58) + b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},   }'[:58],
        struct.pack("<Q", 52) + b'{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,4]' + b"}}",
    ],
)
def test_a_damaged_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(PublishError, match=r"model\.safetensors (cannot be read|is cut short)"):
        read_header(path)
