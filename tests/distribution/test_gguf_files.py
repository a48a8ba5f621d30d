"""GGUF files are taken whole, and refused where they end before their tensors do."""

import struct
from pathlib import Path

import numpy
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from distribution.checkpoints.gguf_files import check_gguf
from distribution.errors import PublishError
from distribution.services import publish
from portal.catalog.models import Release
from tests.distribution.published import nothing_is_published


def written(path: Path, *, alignment: int = 32) -> Path:
    """As llama.cpp's own library writes: values of many kinds, a vocabulary, plain and quantised tensors."""
    writer = GGUFWriter(path, "llama")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    writer.add_block_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["<s>", "a", "🙂"])
    writer.add_token_scores([0.0, -1.0, -2.0])
    writer.add_add_bos_token(True)
    writer.add_tensor("norm.weight", numpy.ones(32, numpy.float32))
    packed = numpy.zeros((2, 20), numpy.uint8)  # of Q4_1: 32 elements in 20 bytes
    writer.add_tensor("blk.0.attn_q.weight", packed, raw_dtype=GGMLQuantizationType.Q4_1)
    writer.add_tensor("output.weight", numpy.ones((3, 32), numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("alignment", [32, 64, 4096])
def test_a_file_as_its_library_writes_it_is_taken(
    release: Release, tmp_path: Path, alignment: int
) -> None:
    (tmp_path / "set").mkdir()
    written(tmp_path / "set" / "model.gguf", alignment=alignment)
    revision = publish(tmp_path / "set", repo_id="meta/llama-7b", actor=None)
    assert [artifact.path for artifact in revision.artifacts.all()] == ["model.gguf"]


def test_a_file_that_was_cut_anywhere_is_refused(release: Release, tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.gguf").read_bytes().rstrip(b"\0")
    assert whole.endswith(b"\x00\x3c"), "the last tensor is of ones, in float16"
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "model.gguf"
    path.write_bytes(whole)
    check_gguf(path)
    for length in (*range(8, len(whole) - 1, 37), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(PublishError, match=r"model\.gguf is cut short"):
            check_gguf(path)
    with pytest.raises(PublishError, match="cut short"):
        publish(tmp_path / "set", repo_id="meta/llama-7b", actor=None)
    assert nothing_is_published(release)


def header(*values: bytes, version: int = 3, tensors: int = 0, order: str = "<") -> bytes:
    return b"GGUF" + struct.pack(f"{order}IQQ", version, tensors, len(values)) + b"".join(values)


NAMED = struct.pack("<Q", 1) + b"x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GGUX" + bytes(20), "is no GGUF file"),
        (header(version=1), "it is of version 1"),
        (header(NAMED + struct.pack("<I", 77)), "a value of type 77"),
        (header(NAMED + struct.pack("<IIQ", 9, 9, 1)), "a list of type 9"),
        (header(tensors=1) + NAMED + struct.pack("<I", 1000), "1000 dimensions"),
        (header(tensors=2**60), "is cut short"),
        (header(NAMED + struct.pack("<IIQ", 9, 8, 2**60)), "is cut short"),
        (header(NAMED + struct.pack("<IIQ", 9, 12, 2**60)), "is cut short"),
        (header(struct.pack("<Q", 2**63)), "is cut short"),
    ],
)
def test_a_header_that_lies_is_refused_at_once(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(PublishError, match=said):
        check_gguf(tmp_path / "x.gguf")


def test_a_type_that_is_newer_than_the_library_is_taken(tmp_path: Path) -> None:
    tensor = NAMED + struct.pack("<IQIQ", 1, 32, 4000, 0)
    (tmp_path / "x.gguf").write_bytes(header(tensors=1) + tensor + bytes(64))
    check_gguf(tmp_path / "x.gguf")


def test_one_for_a_machine_of_the_other_order_is_taken(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(header(order=">"))
    check_gguf(tmp_path / "x.gguf")
