"""Files that look like weights and are something else: each is refused, whatever its name."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch

from distribution import checkpoints, folders
from distribution.checkpoints.contents import check_content
from distribution.errors import PublishError
from tests.distribution.hostile import evil, legacy, refusal, written
from tests.distribution.weights import original, safetensors

# ---- other containers of code --------------------------------------------------------------------


def test_the_legacy_form_has_its_own_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "consolidated.00.pth", legacy({"x": torch.zeros(3)}))
    assert "torch.save before version 1.6" in refusal(path)


def test_the_tar_of_the_first_torch_is_refused(tmp_path: Path, mark: Path) -> None:
    with tarfile.open(tmp_path / "a.pth", "w") as archive:
        for name in ("pickle", "tensors", "storages"):
            content = pickle.dumps(evil(mark), 2)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert "tar archive" in refusal(tmp_path / "a.pth")
    written(tmp_path / "b.dat", (tmp_path / "a.pth").read_bytes())
    assert "tar archive" in refusal(tmp_path / "b.dat")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_compressed_pickle_is_refused(
    tmp_path: Path, mark: Path, pack: Callable[[bytes], bytes]
) -> None:
    """joblib unpacks it unasked."""
    path = written(tmp_path / "x.joblib", pack(pickle.dumps(evil(mark))))
    assert "It is compressed" in refusal(path)


def test_numpy_arrays_of_numbers_are_taken_and_of_objects_refused(
    tmp_path: Path, mark: Path
) -> None:
    numpy.save(tmp_path / "good.npy", numpy.zeros((3, 4)))
    check_content(tmp_path / "good.npy")
    numpy.save(tmp_path / "bad.npy", numpy.array([evil(mark)]), allow_pickle=True)
    assert "NumPy array of objects" in refusal(tmp_path / "bad.npy")
    numpy.savez(tmp_path / "bad.npz", x=numpy.array([evil(mark)]), allow_pickle=True)
    assert "zip archive, which may hold anything" in refusal(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(8), "Keras"),
        ("saved_model.pb", b"\x08\x01", "Keras"),
        ("libx.dat", b"\x7fELF\x02\x01" + bytes(100), "program or a library"),
        ("x.dat", b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0", "program or a library"),
        ("modeling.pyc", b"\xa7\r\r\n", "compiled Python"),
        ("recipe.yaml", b"x: !!python/object/apply:os.system ['id']", "YAML tags"),
        (
            "recipe.yml",
            b"%TAG !p! tag:yaml.org,2002:\n---\nx: !p!python/name:os.system",
            "YAML tags",
        ),
        ("recipe.yml", b"x: !!%70ython/name:os.system", "YAML tags"),
        ("model.gguf", b"anything", "no GGUF file"),
    ],
)
def test_other_files_that_can_hold_code_are_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    assert said in refusal(written(tmp_path / name, content))


def test_code_of_the_model_is_published_only_on_demand(tmp_path: Path) -> None:
    """from_pretrained(trust_remote_code=True) runs what a configuration points to."""
    code = written(tmp_path / "modeling_new.PY", b"print(1)\n")
    config = {"auto_map": {"AutoModel": "else/where--modeling_new.Model"}}
    pointing = written(tmp_path / "config.json", json.dumps(config).encode())
    hidden = written(tmp_path / "tokenizer_config.json", rb'{"\u0061uto_map": ["x.Y", null]}')
    for path in (code, pointing, hidden):
        assert "--with-code" in refusal(path)
        check_content(path, with_code=True)
    check_content(written(tmp_path / "tokenizer.json", b'{"vocab": {"auto_map": 7}}'))


@pytest.mark.parametrize("file", ["../../evil.bin", "/etc/passwd", "a\\b.bin", 7])
def test_an_index_that_names_a_file_elsewhere_is_refused(tmp_path: Path, file: object) -> None:
    index = {"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}
    path = tmp_path / "pytorch_model.bin.index.json"
    check_content(written(path, json.dumps(index).encode()))
    index["weight_map"]["b"] = file  # type: ignore[assignment]
    assert "not beside it" in refusal(written(path, json.dumps(index).encode()))


def test_a_folder_with_code_is_refused_and_published_with_the_option(tmp_path: Path) -> None:
    folder = original(tmp_path / "weights")
    written(folder / "modeling_new.py", b"print(1)\n")
    with pytest.raises(PublishError, match="It is Python code"):
        checkpoints.validate(folder, folders.walk(folder), model_parallel=1)
    checkpoints.validate(folder, folders.walk(folder), model_parallel=1, with_code=True)


# ---- what came in place of a file ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["consolidated.00.pth", "model.safetensors", "tokenizer.model"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 13476925163\n",
            "is a Git LFS pointer, not the file itself. Run `git lfs pull`",
        ),
        (b"\n<!DOCTYPE html>\n<html><title>Sign in</title>", "is a web page (HTML)"),
        (b"<!-- a --> <HTML lang=en>", "is a web page (HTML)"),
    ],
)
def test_what_came_in_place_of_the_file_is_named(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    assert said in refusal(written(tmp_path / name, content))


def test_a_cut_file_says_how_much_is_there(tmp_path: Path, good: Path) -> None:
    whole = good.read_bytes()
    for kept in (30, len(whole) // 2, len(whole) - 1):
        assert "is cut short" in refusal(written(tmp_path / "a.pth", whole[:kept]))
    folder = safetensors(tmp_path / "st")
    whole = (folder / "model-00001-of-00002.safetensors").read_bytes()
    for kept in (20, len(whole) - 1):
        said = refusal(written(tmp_path / "m.safetensors", whole[:kept]))
        assert f"is cut short: it has {kept} bytes" in said or f"has {kept:,} bytes" in said


@pytest.mark.parametrize(
    "header",
    [
        b' {"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"x":{"dtype":"I32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"code":"x"}}',
        b'{"__metadata__":{"a":{}},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"__metadata__":[],"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[4,4]}}',
        '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.encode("utf-16"),
    ],
)
def test_a_safetensors_header_that_readers_understand_differently_is_refused(
    tmp_path: Path, header: bytes
) -> None:
    path = written(
        tmp_path / "m.safetensors", struct.pack("<Q", len(header)) + header + b"\0\0\0\0"
    )
    assert "m.safetensors cannot be read as weights" in refusal(path)


def test_a_safetensors_file_with_a_zip_in_its_weights_is_refused(tmp_path: Path) -> None:
    """Python runs the __main__.py of a zip, whatever lies in front of it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__main__.py", "print(1)")
    weights = out.getvalue()
    header = json.dumps(
        {"x": {"dtype": "U8", "shape": [len(weights)], "data_offsets": [0, len(weights)]}}
    ).encode()
    path = written(tmp_path / "m.safetensors", struct.pack("<Q", len(header)) + header + weights)
    assert "zip archive behind other bytes" in refusal(path)


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    """macOS and Windows keep one of them."""
    folder = original(tmp_path / "weights")
    written(folder / "Params.json", b"{}")
    with pytest.raises(PublishError, match=r"differ only in upper and lower case"):
        folders.walk(folder)
    (folder / "Params.json").unlink()
    for name in ("docs", "Docs"):
        (folder / name).mkdir()
        written(folder / name / f"{name}.txt", b"x")
    with pytest.raises(PublishError, match=r"differ only in upper and lower case"):
        folders.walk(folder)
