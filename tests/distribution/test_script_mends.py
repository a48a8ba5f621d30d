"""The script and bytes that are wrong: damaged here, damaged on the way, or not what the site signed."""

import os
import re
from pathlib import Path

import pytest
from django.conf import LazySettings

from distribution import signing
from distribution.hashing import CHUNK_SIZE
from distribution.models import Artifact, Download
from distribution.services import publish
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.distribution.cutting import Exchange, Line
from tests.distribution.scripting import Script, refused, script_of
from tests.distribution.weights import granted

MIB = 1024 * 1024


@pytest.fixture
def large(line: Line, release: Release, folder: Path, alice: Account, tmp_path: Path) -> Script:
    """A file of three chunks, the last of them short, and all of it here already."""
    with (folder / "large.txt").open("wb") as file:
        for number in range(131):
            file.write(number.to_bytes(8, "big") * (MIB // 8))
        file.write(b"the end")
    granted(alice, publish(folder, repo_id=release.repo_id, actor=None).release)
    script = script_of(alice, tmp_path / "here")
    script.release.mkdir()
    os.link(folder / "large.txt", script.release / "linked")
    (script.release / "large.txt").write_bytes((script.release / "linked").read_bytes())
    (script.release / "linked").unlink()
    return script


def spoil(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("suffix", ["", ".part"])
def test_of_a_damaged_file_only_the_bad_chunk_is_fetched(
    large: Script, folder: Path, line: Line, suffix: str
) -> None:
    file = large.release / "large.txt"
    spoil(file, CHUNK_SIZE + 5)
    file.rename(file.with_name(f"large.txt{suffix}"))
    done = large.run("--only", "large.txt")
    assert done.returncode == 0, done.stderr
    assert "large.txt: 1 of 3 chunks fetched again" in done.stdout
    (only,) = line.downloads()
    assert (only.first, only.sent) == (CHUNK_SIZE, CHUNK_SIZE)
    assert same(file, folder / "large.txt")
    assert large.got() == {"large.txt"}


def test_the_short_last_chunk_is_mended_too_and_what_was_cut_off_comes_back(
    large: Script, folder: Path, line: Line
) -> None:
    file = large.release / "large.txt"
    spoil(file, 131 * MIB + 1)
    assert large.run("--only", "large.txt").returncode == 0
    assert [(one.first, one.sent) for one in line.downloads()] == [(2 * CHUNK_SIZE, 3 * MIB + 7)]
    os.truncate(file, 130 * MIB)
    assert large.run("--only", "large.txt").returncode == 0
    assert [(one.first, one.sent) for one in line.downloads()[1:]] == [(130 * MIB, MIB + 7)]
    assert same(file, folder / "large.txt")


def test_a_part_that_is_too_long_is_cut_to_its_length(
    large: Script, folder: Path, line: Line
) -> None:
    part = large.release / "large.txt.part"
    (large.release / "large.txt").rename(part)
    with part.open("ab") as file:
        file.write(b"<html>an error page of some other program</html>")
    assert large.run("--only", "large.txt").returncode == 0
    assert not line.downloads()
    assert same(large.release / "large.txt", folder / "large.txt")


def test_bytes_that_are_damaged_on_the_way_are_fetched_again(
    script: Script, line: Line, folder: Path
) -> None:
    spoilt = []

    def once(one: Exchange, block: bytes) -> bytes:
        if one.name == "big.txt" and not spoilt:
            spoilt.append(one)
            return bytes([block[0] ^ 1]) + block[1:]
        return block

    line.change = once
    done = script.run()
    assert done.returncode == 0, done.stderr
    assert "big.txt: chunk 0 is damaged; fetching it again" in done.stdout
    assert same(script.release / "big.txt", folder / "big.txt")


def test_bytes_that_stay_wrong_end_it_and_never_get_the_files_name(
    script: Script, line: Line
) -> None:
    line.change = lambda one, block: block[::-1] if one.name == "big.txt" else block
    said = refused(script.run(), 5)
    assert "big.txt: bytes 0 to 2999999 arrived 3 times with another SHA-256" in said
    assert "big.txt" not in script.got()


# ---- what the site signed ------------------------------------------------------------------------


def test_a_list_that_was_changed_on_the_way_is_not_believed(
    script: Script, line: Line, folder: Path
) -> None:
    """Whoever stands in between changes a file and its hashes alike; the signature tells."""
    theirs = "0" * 64
    ours = Artifact.objects.get(path="params.json").sha256

    line.rewrite = lambda one, body: body.replace(ours.encode(), theirs.encode())
    assert "not signed with the key in this script" in refused(script.run(), 5)
    assert not line.downloads()


def test_a_signature_that_is_no_signature_is_not_taken_for_a_missing_openssl(
    script: Script, line: Line
) -> None:
    line.rewrite = lambda one, body: re.sub(rb"signature \S+", b"signature AAAA", body)
    assert "not signed with the key in this script" in refused(script.run(), 5)


def test_another_key_of_the_site_is_said(script: Script, settings: LazySettings) -> None:
    assert "is signed by" in script.run("--list").stdout
    settings.MANIFEST_KEY = "17" * 32
    assert signing.public_key()
    assert "Fetch the script again" in refused(script.run(), 5)


@pytest.mark.parametrize(
    "path",
    [
        b"../outside.txt",
        b"/etc/motd",
        b"a/../../outside",
        b"docs//double",
        b".weighbridge/holder",
        b"bell\x07",
        b"colour\x1b[31m",
        "näme".encode(),
        b"",
    ],
)
def test_a_name_that_leaves_the_folder_or_speaks_to_the_terminal_stops_it(
    script: Script, line: Line, path: bytes
) -> None:
    line.rewrite = lambda one, body: body.replace(b" params.json\n", b" " + path + b"\n")
    said = refused(script.run(), 5)
    assert "something that it never should" in said
    assert said.isprintable()
    assert not script.release.exists()


HOSTILE = [
    "-rf",
    "--output",
    "two  words",
    'quote".bin',
    "it's",
    "back\\slash",
    "$(touch hacked)",
    "`touch hacked`",
    "*",
    "#1 {a,b} [0-9]",
    "%20;&|<>?",
    "dir name/-x",
    " begins with a space",
    "ends with one ",
]


def test_names_of_every_kind_come_under_just_that_name(
    script: Script, folder: Path, line: Line
) -> None:
    """Publishing takes plain names alone; the script does not depend on that."""
    model = Artifact.objects.get(path="tokenizer.model")
    rest = {"size": model.size, "sha256": model.sha256}
    Artifact.objects.bulk_create(
        [Artifact(revision=model.revision, path=path, **rest) for path in HOSTILE]
    )
    done = script.run()
    assert done.returncode == 0, done.stderr
    assert "is signed by" in done.stdout
    assert script.got() >= set(HOSTILE)
    for name in HOSTILE:
        assert same(script.release / name, folder / "tokenizer.model")
    assert {path.name for path in script.here.iterdir()} == {"llama-7b", script.path.name}
    before = Download.objects.count()
    assert script.run().returncode == 0
    assert Download.objects.count() == before
