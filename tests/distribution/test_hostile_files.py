"""Files that look like weights and are something else: each is refused, whatever its name, and nothing of it runs.

Where it matters the danger is shown first: what a client does with the file runs the code.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distribution import checkpoints, folders
from distribution.checkpoints.contents import check_content
from distribution.checkpoints.headers import read_header
from distribution.errors import PublishError
from tests.distribution.weights import Runs, original, pickled, pth, safetensors


def refusal(path: Path, *, with_code: bool = False) -> str:
    with pytest.raises(PublishError) as error:
        check_content(path, with_code=with_code)
    assert str(error.value).startswith(path.name)
    return str(error.value)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def loaded(path: Path, call: str = "torch.load(path, weights_only=False)") -> None:
    """Load the file as a careless client does, in a process of its own; it may well fail."""
    code = f"import sys, pickle, numpy, torch; path = sys.argv[1]; {call}"
    subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=60)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What the code makes, when it runs."""
    return tmp_path / "it ran"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    torch.save({"x": torch.arange(3.0), "y": torch.zeros(2, 2)}, tmp_path / "good.pth")
    return tmp_path / "good.pth"


def evil(mark: Path) -> Runs:
    return Runs(os.system, f"touch '{mark}'")


def legacy(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


# ---- two files in one ----------------------------------------------------------------------------


def test_a_legacy_stream_in_front_of_a_clean_zip_is_refused(
    tmp_path: Path, good: Path, mark: Path
) -> None:
    path = written(tmp_path / "a.pth", legacy(evil(mark)) + good.read_bytes())
    assert zipfile.is_zipfile(path), "who looks for a zip finds the clean one"
    assert "zip archive behind other bytes" in refusal(path)
    with pytest.raises(PublishError):
        read_header(path)
    assert not mark.exists()
    loaded(path)
    assert mark.exists(), "torch.load looks at the first bytes, and runs the code"


@pytest.mark.parametrize("last", [False, True])
def test_a_second_pickle_in_capitals_is_refused(tmp_path: Path, mark: Path, last: bool) -> None:
    """PyTorch finds members without case, so either of the two may be what it loads."""
    clean = pickled({})
    pickles = {"archive/data.pkl": clean, "archive/DATA.PKL": pickled(evil(mark))}
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        for name in sorted(pickles, reverse=last):
            archive.writestr(name, pickles[name])
        archive.writestr("archive/version", "3\n")
    said = refusal(tmp_path / "a.pth")
    assert "more than one member of the name" in said
    assert "DATA.PKL" in said or "data.pkl" in said
    assert not mark.exists()


def test_torch_load_takes_the_pickle_in_capitals(tmp_path: Path, mark: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/DATA.PKL", pickled(evil(mark)))
        archive.writestr("archive/data.pkl", pickled({}))
        archive.writestr("archive/version", "3\n")
    loaded(tmp_path / "a.pth")
    assert mark.exists()


def test_bytes_in_front_behind_and_between_the_members_are_refused(
    tmp_path: Path, good: Path
) -> None:
    content = good.read_bytes()
    second = content.index(b"PK\x03\x04", 4)
    for number, (hidden, said) in enumerate(
        {
            b"#!/bin/sh\n" + content: "zip archive behind other bytes",
            content + b"trailing": "goes on behind its end",
            content[:-2] + b"\x05\x00hello": "has a comment",
            content[:second] + b"between!" + content[second:]: "cannot be read as weights",
        }.items()
    ):
        assert said in refusal(written(tmp_path / f"{number}.pth", hidden))


def test_a_member_that_its_table_does_not_list_is_refused(tmp_path: Path, mark: Path) -> None:
    """Who reads the members one after the other finds it; who reads the table does not."""
    bomb = pickled(evil(mark))
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
        archive.writestr("archive/version", "3\n")
        del archive.NameToInfo["archive/data.pkl"]
        archive.filelist.pop(0)
        archive.writestr("archive/data.pkl", pickled({}))
    assert "lie bytes that belong to no member" in refusal(tmp_path / "a.pth")


def patched(content: bytes, magic: bytes, offset: int, value: bytes) -> bytes:
    """With a field of the first header of that kind changed."""
    at = content.index(magic) + offset
    return content[:at] + value + content[at + len(value) :]


@pytest.mark.parametrize(
    ("magic", "offset", "value"),
    [
        (b"PK\x01\x02", 8, b"\x01\x08"),  # listed as encrypted
        (b"PK\x03\x04", 6, b"\x01\x08"),  # lies encrypted
        (b"PK\x01\x02", 10, b"\x08\x00"),  # deflated
        (b"PK\x01\x02", 16, b"\xff\xff\xff\xff"),  # another checksum
        (b"PK\x01\x02", 20, b"\x05\x00\x00\x00"),  # other packed size
        (b"PK\x01\x02", 24, b"\x05\x00\x00\x00"),  # another size
        (b"PK\x01\x02", 34, b"\x01\x00"),  # on another disk
        (b"PK\x01\x02", 38, b"\x10"),  # a directory, for which torch reads nothing at all
        (b"PK\x01\x02", 40, b"\x00\xa0"),  # a symbolic link
        (b"PK\x01\x02", 42, b"\x05\x00\x00\x00"),  # begins elsewhere
        (b"PK\x01\x02", 46, b"..\x2f"),  # another name, out of its folder
        (b"PK\x01\x02", 48, b"\\"),
        (b"PK\x01\x02", 50, b"\x00"),
        (b"PK\x03\x04", 30, b"good/DATA"),  # another name than the table's
        (b"PK\x03\x04", 39, b"ux"),  # an extra field that changes the name for some
        (b"PK\x07\x08", 4, b"\xff\xff\xff\xff"),  # another checksum behind the bytes
        (b"PK\x05\x06", 8, b"\x01\x00"),  # fewer members than there are
        (b"PK\x05\x06", 16, b"\x05\x00\x00\x00"),  # a table elsewhere
        (b"PK\x06\x06", 48, b"\x05\x00"),
        (b"PK\x06\x07", 8, b"\x05\x00"),
    ],
)
def test_an_archive_that_says_two_things_is_refused(
    tmp_path: Path, good: Path, magic: bytes, offset: int, value: bytes
) -> None:
    content = patched(good.read_bytes(), magic, offset, value)
    assert content != good.read_bytes()
    path = written(tmp_path / "good2.pth", content)
    assert "cannot be read as weights" in refusal(path)


@pytest.mark.parametrize(
    "name",
    [
        "archive/evil.so",
        "archive/data/../../x",
        "archive/data/",
        "other/data/0",
        "data.pkl",
        "archive/data/0\0.txt",
        "archive\\data\\0",
        "archive/data/\N{FULLWIDTH DIGIT ZERO}",
        "/archive/data/0",
    ],
)
def test_a_member_that_torch_does_not_write_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled({}))
        archive.writestr(name, b"")
    assert "cannot be read as weights" in refusal(tmp_path / "a.pth")


def test_overlapping_and_compressed_members_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled({}))
        archive.writestr("archive/data/0", b"")
        archive.getinfo("archive/data/0").header_offset = 0
    refusal(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled({}))
    assert "is compressed" in refusal(tmp_path / "b.pth")


def test_a_record_that_no_tensor_uses_is_refused(tmp_path: Path) -> None:
    path = pth(tmp_path / "a.pth", pickled({}), **{"data/0": b"anything"})
    assert "no tensor uses its record data/0" in refusal(path)


def test_bytes_behind_the_pickle_are_refused(tmp_path: Path, mark: Path) -> None:
    path = pth(tmp_path / "a.pth", pickled({}) + pickled(evil(mark)))
    assert "bytes behind its end" in refusal(path)


def test_numbers_in_the_other_byte_order_are_refused(tmp_path: Path) -> None:
    """PyTorch would turn them round, and our converter would not."""
    path = pth(tmp_path / "a.pth", pickled({}), byteorder=b"big")
    assert "its record byteorder" in refusal(path)


def test_large_files_of_torch_and_of_ours_are_taken(tmp_path: Path, good: Path) -> None:
    """Its zip has 64-bit fields; so has Python's, where a member is announced as large."""
    assert b"PK\x06\x06" in good.read_bytes()
    check_content(good)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        with archive.open("archive/data.pkl", "w", force_zip64=True) as out:
            out.write(pickled({}))
        archive.writestr("archive/version", "3\n")
    check_content(tmp_path / "a.pth")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.floats(0, 0.9999), bytes_=st.binary(min_size=1, max_size=4))
def test_any_bytes_of_an_archive_changed_are_read_alike_or_refused(
    tmp_path: Path, good: Path, position: float, bytes_: bytes
) -> None:
    content = bytearray(good.read_bytes())
    at = int(position * len(content))
    content[at : at + len(bytes_)] = bytes_
    path = written(tmp_path / "changed.pth", bytes(content))
    try:
        header = read_header(path)
    except PublishError:
        return
    try:
        table = torch.load(path, weights_only=True)
    except Exception:
        return  # nobody is deceived
    assert {name: tuple(value.shape) for name, value in table.items()} == {
        name: tensor.shape for name, tensor in header.items()
    }


# ---- pickles under any name ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["x.BIN", "x.Pt", "x.joblib", "x.dat", "x.safetensors", "tokenizer.model", "README", "x.npy"],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_bare_pickle_is_refused_under_any_name(
    tmp_path: Path, mark: Path, name: str, protocol: int
) -> None:
    path = written(tmp_path / name, pickle.dumps(evil(mark), protocol))
    said = refusal(path)
    assert "refused: weights only" in said
    assert "`posix.system`" in said
    assert not mark.exists()


def test_what_loads_a_bare_pickle_runs_it(tmp_path: Path, mark: Path) -> None:
    path = written(tmp_path / "x.dat", pickle.dumps(Runs(os.system, f"echo ran >> '{mark}'"), 0))
    loaded(
        path,
        "pickle.load(open(path, 'rb')); numpy.load(path, allow_pickle=True); "
        "torch.load(path, weights_only=False)",
    )
    assert mark.read_text().count("ran") == 3, "pickle, numpy and torch"


@pytest.mark.parametrize(
    "opcodes",
    [
        b"(S'touch x'\nios\nsystem\n.",  # INST
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",  # STACK_GLOBAL
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940" + b"0h\x00h\x01\x93\x8c\x01x\x85R.",  # by memo
        b"X\x00\x00\x03\x00" + bytes(3 * 65536) + b"0cos\nsystem\n.",  # behind a long text
        b"N0" * 50_000 + b"cos\nsystem\n.",
        b"N." * 30 + b"cos\nsystem\n.",  # the thirty-first
        b"L119547037146038801333356L\n.I1001\n.}.cos\nsystem\n.",  # torch's legacy form as a text
        b"U\x02os0(I1\nI2\nl0}(I1\nI2\nd0cos\nsystem\n.",
    ],
)
def test_an_import_is_found_wherever_the_pickle_has_it(tmp_path: Path, opcodes: bytes) -> None:
    assert "refused: weights only" in refusal(written(tmp_path / "vocabulary.txt", opcodes))


@pytest.mark.parametrize("content", [b"N0" * 200_000 + b"cos\nsystem\n.", b"N." * 500])
def test_a_pickle_that_is_too_long_to_follow_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "pickle without an end" in refusal(written(tmp_path / "a.dat", content))


def test_a_harmless_pickle_is_refused_as_well(tmp_path: Path) -> None:
    assert "a bare pickle" in refusal(written(tmp_path / "a.dat", pickled({"x": [1, 2.0]})))


@pytest.mark.parametrize(
    "text",
    [
        "# Model card\n\nIt can do much.\n",
        "can be loaded\nwith any program\n",
        "N.B. read the licence\n",
        "import torch\nprint(1)\n",
        "[PAD]\n[UNK]\n",
        "the\ncat\nsat\n",
        "(c) 2023 the authors\nAll rights reserved\n",
        "{}",
        "I am a text.\n.\n",
    ],
)
def test_a_text_is_no_pickle(tmp_path: Path, text: str) -> None:
    check_content(written(tmp_path / "notes.txt", text.encode()))


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
def test_whatever_unpickles_with_an_import_is_refused(tmp_path: Path, content: bytes) -> None:
    """Random bytes in front, and behind each an import; where the real unpickler comes to it, we do."""
    found: list[str] = []

    class Watched(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            found.append(f"{module}.{name}")
            raise ImportError

    content = content.replace(b"r", b"").replace(b"j", b"") + b"cos\nsystem\n."
    with suppress(Exception):
        Watched(io.BytesIO(content)).load()
    path = written(tmp_path / "a.dat", content)
    if "os.system" in found:
        assert "refused" in refusal(path)


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
