"""Zips that say one thing to us and another to who loads them: each is refused.

Where it matters the danger is shown first: what a client does with the file runs the code.
"""

import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distribution.checkpoints.contents import check_content
from distribution.checkpoints.headers import read_header
from distribution.errors import PublishError
from tests.distribution.hostile import evil, legacy, loaded, refusal, written
from tests.distribution.weights import pickled, pth

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
