"""A revision's manifest in the forms that programs read, with the real programs."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.test import Client
from pytest_django import Settings

from access_requests.models import Grant, Tier
from distribution import hashing, selectors, signing
from distribution.models import Download, Revision
from distribution.services import publish, withdraw
from portal.accounts.models import Account, Scope
from portal.catalog.models import Release
from tests.distribution.weights import granted
from tests.people import signed_in, with_token

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "applicants" / "verify_manifest.py"
ALL = ("manifest.json", "manifest.json.sig", "SHA256SUMS", "files.meta4")
METALINK = "{urn:ietf:params:xml:ns:metalink}"


@pytest.fixture(autouse=True)
def key(settings: Settings) -> None:
    settings.MANIFEST_KEY = "2a" * 32


@pytest.fixture
def grant(alice: Account, revision: Revision) -> Grant:
    return granted(alice, revision.release)


def url(name: str, revision: str = "main") -> str:
    return f"/api/v1/releases/llama-7b/revisions/{revision}/{name}"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def exported(client: Client, folder: Path, *names: str) -> None:
    for name in names:
        response = client.get(url(name))
        assert response.status_code == 200, response.content
        (folder / name).write_bytes(response.content)


# ---- who may have them ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_holder_has_them_in_the_browser_and_with_a_token(
    grant: Grant, alice: Account, revision: Revision, name: str
) -> None:
    for client in (signed_in(alice), with_token(alice, Scope.DOWNLOAD)):
        for called in ("main", revision.digest, revision.digest[:7]):
            response = client.get(url(name, called))
            assert response.status_code == 200
            assert response["Cache-Control"] == "private, no-store"
            assert "attachment" in response["Content-Disposition"]


@pytest.mark.parametrize("name", ALL)
def test_nobody_else_has_them(
    grant: Grant, alice: Account, mallory: Account, revision: Revision, name: str
) -> None:
    assert Client().get(url(name)).status_code == 401
    for stranger in (signed_in(mallory), with_token(mallory)):
        response = stranger.get(url(name))
        assert (response.status_code, response["X-Error-Code"]) == (403, "not_granted")
        # Nor do they learn which revisions there are.
        assert stranger.get(url(name, "v1"))["X-Error-Code"] == "not_granted"
    assert with_token(alice, Scope.READ).get(url(name))["X-Error-Code"] == "scope_missing"
    assert signed_in(alice).get(url(name, "v1")).status_code == 404
    grant.tier = Tier.TRY
    grant.save()
    assert signed_in(alice).get(url(name))["X-Error-Code"] == "tier_too_low"


def test_a_withdrawn_release_has_none(grant: Grant, alice: Account, revision: Revision) -> None:
    withdraw(revision.release_id, actor=None, reason="Wrong weights.")
    for name in ALL:
        response = signed_in(alice).get(url(name, revision.digest))
        assert (response.status_code, response["X-Error-Code"]) == (403, "withdrawn")


# ---- manifest and signature ----------------------------------------------------------------------


def test_the_manifest_that_leaves_is_the_one_that_is_signed(
    grant: Grant, alice: Account, revision: Revision, tmp_path: Path
) -> None:
    exported(signed_in(alice), tmp_path, "manifest.json", "manifest.json.sig")
    manifest = (tmp_path / "manifest.json").read_bytes()
    assert manifest == selectors.manifest_of(revision)
    check = runpy.run_path(str(SCRIPT))["check_signature"]
    signature = (tmp_path / "manifest.json.sig").read_text()
    said = check(manifest, signature, signing.public_key())
    assert said == f"file:manifest.json repo:meta/llama-7b revision:{revision.digest}"


@needs("minisign")
def test_minisign_accepts_the_signature_and_refuses_an_altered_manifest(
    grant: Grant, alice: Account, tmp_path: Path
) -> None:
    exported(signed_in(alice), tmp_path, "manifest.json", "manifest.json.sig")
    (tmp_path / "key.pub").write_bytes(Client().get("/manifest-key.pub").content)

    def minisign(*key: str) -> subprocess.CompletedProcess[str]:
        command = ["minisign", "-V", *key, "-m", "manifest.json", "-x", "manifest.json.sig"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    for key in (("-p", "key.pub"), ("-P", signing.public_key())):
        assert "verified" in minisign(*key).stdout
    manifest = (tmp_path / "manifest.json").read_bytes()
    (tmp_path / "manifest.json").write_bytes(manifest.replace(b'"size":', b'"size": '))
    assert minisign("-p", "key.pub").returncode != 0


def test_the_key_is_public_and_on_the_releases_page(
    revision: Revision, mallory: Account, settings: Settings, tmp_path: Path
) -> None:
    assert signing.public_key() in Client().get("/manifest-key.pub").content.decode()
    assert signing.public_key() in Client().get("/releases/llama-7b/").content.decode()
    before = signing.public_key()
    settings.MANIFEST_KEY, settings.HOME = "", tmp_path / "home"
    assert signing.public_key() == signing.public_key() != before, "made once, and kept"
    assert (tmp_path / "home" / "manifest_key").stat().st_mode & 0o777 == 0o600


# ---- the script of the docs ----------------------------------------------------------------------


def verify(folder: Path, key: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), key or signing.public_key(), str(folder)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def copied(grant: Grant, alice: Account, folder: Path, tmp_path: Path) -> Path:
    """What a holder has after a download."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    exported(signed_in(alice), copy, *ALL)
    return copy


def test_the_script_says_that_all_files_are_whole(copied: Path) -> None:
    done = verify(copied)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "all 3 files verified"


def test_the_script_names_what_is_damaged_or_missing(copied: Path) -> None:
    shard = copied / "consolidated.00.pth"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    (copied / "params.json").unlink()
    (copied / "tokenizer.model").write_bytes(b"short")
    done = verify(copied)
    assert done.returncode == 1
    assert "consolidated.00.pth is damaged in chunk 0 of 1" in done.stdout
    assert "params.json missing" in done.stdout
    assert "tokenizer.model has 5 bytes instead of" in done.stdout
    assert "verified" not in done.stdout


@pytest.mark.parametrize("what", ["manifest", "signature", "comment", "key"])
def test_the_script_believes_nothing_that_was_altered(
    copied: Path, what: str, settings: Settings
) -> None:
    key = signing.public_key()
    if what == "manifest":
        told = json.loads((copied / "manifest.json").read_text())
        told["files"].pop()
        (copied / "manifest.json").write_text(json.dumps(told))
    elif what == "key":
        settings.MANIFEST_KEY = "2b" * 32
        key = signing.public_key()
    else:
        lines = (copied / "manifest.json.sig").read_text().splitlines()
        line = {"signature": 1, "comment": 2}[what]
        lines[line] = lines[line][:40] + ("B" if lines[line][40] == "A" else "A") + lines[line][41:]
        (copied / "manifest.json.sig").write_text("\n".join(lines) + "\n")
    done = verify(copied, key)
    assert done.returncode == 1
    assert "NOT PROVEN" in done.stderr


# ---- other programs ------------------------------------------------------------------------------


def test_sha256sum_reads_the_sums_and_finds_a_damaged_file(copied: Path) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=copied, capture_output=True, text=True
        )

    assert check().stdout.count(": OK") == 3
    (copied / "params.json").write_text("{}")
    done = check()
    assert done.returncode == 1
    assert "params.json: FAILED" in done.stdout


def test_the_metalink_says_size_hash_pieces_and_a_link_of_the_askers_grant(
    copied: Path, grant: Grant, revision: Revision
) -> None:
    root = ElementTree.fromstring((copied / "files.meta4").read_bytes())
    assert root.tag == f"{METALINK}metalink"
    files = {file.get("name"): file for file in root.findall(f"{METALINK}file")}
    assert sorted(files) == sorted(artifact.path for artifact in revision.artifacts.all())
    for artifact in revision.artifacts.all():
        file = files[artifact.path]
        assert file.findtext(f"{METALINK}size") == str(artifact.size)
        assert file.findtext(f"{METALINK}hash") == artifact.sha256
        pieces = file.find(f"{METALINK}pieces")
        assert pieces.attrib == {"length": "67108864", "type": "sha-256"}
        assert [piece.text for piece in pieces] == list(artifact.chunks)
        assert f"/{artifact.path}" in file.findtext(f"{METALINK}url")


@needs("aria2c")
@pytest.mark.django_db(transaction=True)
def test_aria2_fetches_everything_and_mends_what_is_damaged(
    live: str,
    alice: Account,
    release: Release,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "tokenizer.model").write_bytes(bytes(range(256)) * 4096 * 65)  # more than one piece
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    release.refresh_from_db()
    granted(alice, release)
    target = tmp_path / "fetched"
    target.mkdir()
    exported(signed_in(alice), target, "files.meta4")

    def aria2() -> subprocess.CompletedProcess[str]:
        command = [
            "aria2c",
            "--check-integrity",
            "--no-conf",
            "--console-log-level=warn",
            "--allow-overwrite=true",
            "files.meta4",
        ]
        return subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=120)

    done = aria2()
    assert done.returncode == 0, done.stdout
    for artifact in revision.artifacts.all():
        assert (target / artifact.path).read_bytes() == (folder / artifact.path).read_bytes()
    with (target / "tokenizer.model").open("r+b") as file:
        file.seek(67108864 + 5)  # in its second piece
        file.write(b"damage")
    before = Download.objects.filter(artifact__path="tokenizer.model").count()
    done = aria2()
    assert done.returncode == 0, done.stdout
    assert (
        hashing.hash_file(target / "tokenizer.model").sha256
        == revision.artifacts.get(path="tokenizer.model").sha256
    )
    again = Download.objects.filter(artifact__path="tokenizer.model").order_by("id")[before:]
    assert again
    assert all(row.first_byte >= 67108864 for row in again), "it fetched what was good"


# ---- in part, and not again ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig", "SHA256SUMS"])
def test_a_part_of_an_export_is_that_part(grant: Grant, alice: Account, name: str) -> None:
    client = signed_in(alice)
    whole = client.get(url(name))
    part = client.get(url(name), headers={"range": "bytes=5-14"})
    assert (part.status_code, part.content) == (206, whole.content[5:15])
    assert part["Content-Range"] == f"bytes 5-14/{len(whole.content)}"
    beyond = client.get(url(name), headers={"range": f"bytes={len(whole.content)}-"})
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{len(whole.content)}")
    head = client.head(url(name), headers={"range": "bytes=5-14"})
    assert (head.status_code, head["Content-Length"]) == (200, str(len(whole.content)))
    assert head["ETag"] == whole["ETag"]
    known = client.get(url(name), headers={"if-none-match": whole["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_links_that_are_made_at_each_request_are_sent_whole(grant: Grant, alice: Account) -> None:
    """A rest of another answer would hold half a link."""
    answer = signed_in(alice).get(url("files.meta4"), headers={"range": "bytes=5-"})
    assert (answer.status_code, answer.get("Accept-Ranges")) == (200, None)
    assert answer.content.startswith(b"<?xml")


def test_an_export_of_a_revision_is_dated_and_its_signature_is_not(
    grant: Grant, alice: Account, revision: Revision
) -> None:
    client, later = signed_in(alice), "Fri, 01 Jan 2100 00:00:00 GMT"
    for name in ("manifest.json", "SHA256SUMS"):
        date = client.get(url(name))["Last-Modified"]
        for address, since, status in (
            (url(name), date, 304),
            (url(name), later, 200),  # `main` can go back to an older revision
            (url(name, revision.digest), later, 304),
        ):
            assert client.get(address, headers={"if-modified-since": since}).status_code == status
    for name in ("manifest.json.sig", "files.meta4"):
        answer = client.get(url(name), headers={"if-modified-since": later})
        assert (answer.status_code, answer.get("Last-Modified")) == (200, None)
