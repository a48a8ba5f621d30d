"""The script, under a real bash, against the live site."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from access_requests.models import Grant
from distribution.models import Artifact, Download
from distribution.services import publish
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.distribution.asking import finished
from tests.distribution.weights import granted
from tests.people import signed_in

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(live: str, release: Release, folder: Path, alice: Account, tmp_path: Path) -> Path:
    """alice's script, in an empty folder. One of the files lies in a folder, one is empty."""
    (folder / "docs").mkdir()
    (folder / "docs" / "empty.txt").touch()
    (folder / "big.txt").write_bytes(os.urandom(3_000_000))
    granted(alice, publish(folder, repo_id=release.repo_id, actor=None).release)
    answer = signed_in(alice).get("/releases/llama-7b/download.sh")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="download-llama-7b.sh"'
    here = tmp_path / "here"
    here.mkdir()
    (here / "download.sh").write_bytes(answer.content)
    return here / "download.sh"


def run(script: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", script.name],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | env,
    )


def got(script: Path) -> set[str]:
    return {
        str(path.relative_to(script.parent)) for path in script.parent.rglob("*") if path.is_file()
    } - {"download.sh"}


def test_it_brings_every_file_and_checks_it(script: Path, folder: Path) -> None:
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "all 5 files verified"
    assert got(script) == {
        "big.txt",
        "consolidated.00.pth",
        "docs/empty.txt",
        "params.json",
        "tokenizer.model",
    }
    for name in got(script):
        assert (script.parent / name).read_bytes() == (folder / name).read_bytes()


def test_run_again_it_asks_for_nothing(script: Path) -> None:
    run(script)
    before = Download.objects.count()
    done = run(script)
    assert done.stdout.splitlines()[-1] == "all 5 files verified"
    assert Download.objects.count() == before


def test_it_resumes_what_was_cut(script: Path, folder: Path) -> None:
    (script.parent / "big.txt.part").write_bytes((folder / "big.txt").read_bytes()[:1_000_000])
    assert run(script).returncode == 0
    row = finished(Download.objects.get(artifact__path="big.txt"))
    assert (row.first_byte, row.bytes_sent) == (1_000_000, 2_000_000)


def test_the_script_went_on_after_the_first_403_and_saved_the_error_page_as_weights(
    script: Path,
) -> None:
    """It stops at the first refusal, says its cause in one line, saves no error page, and says
    so to the shell.
    """
    Grant.objects.update(status=Grant.Status.REVOKED, status_reason="Shared outside the lab.")
    done = run(script)
    assert done.returncode == 1
    assert "stopped: big.txt: revoked: " in done.stderr
    assert "Shared outside the lab." in done.stderr
    assert "verified" not in done.stdout
    assert got(script) <= {"big.txt.part"}
    assert Download.objects.filter(outcome="served").count() == 0
    assert not Download.objects.exclude(artifact__path="big.txt").exists()


def test_a_refusal_in_the_middle_keeps_what_was_verified(script: Path, folder: Path) -> None:
    text = script.read_text().replace("consolidated.00.pth' 'http", "consolidated.00.pth' 'http", 1)
    link = next(line for line in text.splitlines() if line.startswith("fetch 'consolidated"))
    script.write_text(text.replace(link, link.replace("/download/", "/download/x")))
    done = run(script)
    assert done.returncode == 1
    assert "signature_invalid" in done.stderr
    assert got(script) - {"consolidated.00.pth.part"} == {"big.txt"}
    assert (script.parent / "big.txt").read_bytes() == (folder / "big.txt").read_bytes()


def test_checksums_are_checked(script: Path) -> None:
    """A file that arrives with other bytes is removed and never said to be verified."""
    (script.parent / "big.txt.part").write_bytes(b"\0" * 1_000_000)
    done = run(script)
    assert done.returncode == 1
    assert "big.txt arrived with another SHA-256" in done.stderr
    assert not got(script)
    assert run(script).returncode == 0


def test_a_file_of_the_same_name_is_not_overwritten(script: Path) -> None:
    (script.parent / "params.json").write_text("mine")
    done = run(script)
    assert done.returncode == 1
    assert "params.json is here, but is not the published file" in done.stderr
    assert (script.parent / "params.json").read_text() == "mine"


def test_it_needs_nothing_newer_than_bash_3_2(script: Path) -> None:
    text = script.read_text()
    for newer in (
        "declare -A",
        "mapfile",
        "readarray",
        ",,}",
        "^^}",
        "|&",
        "&>>",
        "coproc",
        "${!",
        "printf -v",
    ):
        assert newer not in text
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "bash", str(script)], check=True)


def test_it_works_where_only_shasum_is(script: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (
        "bash",
        "curl",
        "wc",
        "tr",
        "rm",
        "mkdir",
        "mv",
        "sed",
        "cut",
        "head",
        "sleep",
        "perl",
        "shasum",
    ):
        if (found := shutil.which(name)) is None:
            pytest.skip(f"{name} is not on this machine")
        (tools / name).symlink_to(found)
    assert run(script, PATH=str(tools)).returncode == 0


def test_who_has_no_grant_gets_the_cause_and_no_script(script: Path, mallory: Account) -> None:
    answer = signed_in(mallory).get("/releases/llama-7b/download.sh")
    assert answer.status_code == 403
    assert "You have no grant" in answer.content.decode()


def test_the_published_hashes_are_in_it(script: Path) -> None:
    for artifact in Artifact.objects.all():
        assert f" {artifact.size} {artifact.sha256}\n" in script.read_text()
    assert hashlib.sha256(b"").hexdigest() in script.read_text()
