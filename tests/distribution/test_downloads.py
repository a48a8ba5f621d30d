"""The bytes: whole, in part, and not at all; every request on a link is a row."""

import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Artifact, Download, Revision
from distribution.services import issue_link, publish
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from tests.distribution.asking import ask, finished
from tests.distribution.weights import granted, original

Curl = Callable[..., subprocess.CompletedProcess[str]]
BIG = 30_000_000  # bytes; more than the buffers between two sockets hold


@pytest.fixture
def content(revision: Revision, folder: Path) -> bytes:
    return (folder / "consolidated.00.pth").read_bytes()


@pytest.fixture
def url(shard: Artifact, alice: Account) -> str:
    return issue_link(shard, grant=granted(alice, shard.revision.release), actor=alice).url


@pytest.fixture
def big(live: str, release: Release, folder: Path, alice: Account) -> str:
    """A link to a large file on the live site."""
    (folder / "big.txt").write_bytes(os.urandom(BIG))
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    grant = granted(alice, revision.release)
    return issue_link(revision.artifacts.get(path="big.txt"), grant=grant, actor=alice).url


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def last_row() -> Download:
    return Download.objects.latest("id")


def test_the_whole_file_comes_with_all_that_a_client_needs(
    url: str, content: bytes, shard: Artifact, alice: Account
) -> None:
    answer = ask(url, user_agent="curl/7.88.1")
    assert answer.status == 200
    assert answer.body == content
    assert answer.headers["ETag"] == f'"{shard.sha256}"'
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="consolidated.00.pth"'
    assert answer.headers["Cache-Control"] == "private, no-store"
    row = last_row()
    assert (row.outcome, row.grant.account, row.artifact) == (Download.Outcome.SERVED, alice, shard)
    assert (row.first_byte, row.bytes_asked, row.bytes_sent) == (0, len(content), len(content))
    assert row.finished_at
    assert row.user_agent == "curl/7.88.1"
    assert row.request_id == answer.headers["X-Request-Id"]
    event = Event.objects.get(verb=Verb.DOWNLOAD_STARTED)
    assert (event.actor, event.subject_id, event.data["bytes"]) == (
        alice,
        str(row.pk),
        len(content),
    )


def test_head_says_the_true_length_and_sends_nothing(
    url: str, content: bytes, shard: Artifact
) -> None:
    answer = ask(url, "HEAD", range="bytes=0-1")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["ETag"] == f'"{shard.sha256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert (last_row().method, last_row().bytes_sent) == ("HEAD", 0)
    assert last_row().came_of_it == "asked about"
    assert not Event.objects.filter(verb=Verb.DOWNLOAD_STARTED).exists()


def test_a_range_is_that_part(url: str, content: bytes) -> None:
    answer = ask(url, range="bytes=100-199")
    assert answer.status == 206
    assert answer.body == content[100:200]
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(content)}"
    assert answer.headers["Content-Length"] == "100"
    assert (last_row().first_byte, last_row().bytes_asked, last_row().bytes_sent) == (100, 100, 100)


def test_a_range_beyond_the_end_is_416_with_the_size(url: str, content: bytes) -> None:
    answer = ask(url, range=f"bytes={len(content)}-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(content)}"
    assert answer.text.startswith("range_not_satisfiable: ")
    assert (last_row().outcome, last_row().code) == (
        Download.Outcome.DENIED,
        "range_not_satisfiable",
    )
    assert last_row().artifact


def test_many_ranges_are_416_with_what_to_do(url: str) -> None:
    answer = ask(url, range="bytes=0-1,5-6")
    assert answer.status == 416
    assert "Ask for one range at a time." in answer.text


def test_a_malformed_range_is_ignored(url: str, content: bytes) -> None:
    answer = ask(url, range="bytes=five-six")
    assert (answer.status, answer.body) == (200, content)


def test_if_range_gives_the_part_of_the_same_bytes_and_the_whole_of_others(
    url: str, content: bytes, shard: Artifact
) -> None:
    same = ask(url, range="bytes=5-", if_range=f'"{shard.sha256}"')
    assert (same.status, same.body) == (206, content[5:])
    other = ask(url, range="bytes=5-", if_range='"of yesterday"')
    assert (other.status, other.body) == (200, content)


def test_who_has_the_bytes_already_gets_none(url: str, shard: Artifact) -> None:
    answer = ask(url, if_none_match=f'"{shard.sha256}"')
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == f'"{shard.sha256}"'
    assert (last_row().outcome, last_row().bytes_sent) == (Download.Outcome.SERVED, 0)


def test_other_methods_are_not_answered(url: str) -> None:
    assert ask(url, "POST").status == 405
    assert ask(url, "DELETE").status == 405


def test_a_proxy_with_sendfile_is_told_where_the_file_lies(
    url: str, shard: Artifact, settings: Settings
) -> None:
    settings.SENDFILE_LOCATION = "/protected/"
    answer = ask(url, range="bytes=1-2")
    assert answer.headers["X-Accel-Redirect"] == f"/protected/{shard.store_key}"
    assert answer.body == b""
    assert answer.headers["ETag"] == f'"{shard.sha256}"'
    assert last_row().bytes_asked == 2


def test_a_file_in_a_folder_of_the_release_is_served(
    release: Release, folder: Path, alice: Account
) -> None:
    (folder / "docs").mkdir()
    (folder / "docs" / "notes.txt").write_text("hello")
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    artifact = revision.artifacts.get(path="docs/notes.txt")
    url = issue_link(artifact, grant=granted(alice, revision.release), actor=alice).url
    assert ask(url).body == b"hello"
    assert ask(url).headers["Content-Disposition"] == 'attachment; filename="notes.txt"'
    assert ask(url.replace("docs/notes.txt", "notes.txt")).status == 403


def test_nobody_can_say_who_downloaded_what(url: str, alice: Account) -> None:
    """physionet and others count page views only: here every request on a link is a row, refused
    ones too.
    """
    ask(url)
    ask(url, "HEAD")
    ask(url, range="bytes=0-9")
    ask(url, range="bytes=999999999-")
    ask(url + "x")
    ask("/download/not-a-token/x")
    Grant.objects.update(status=Grant.Status.REVOKED)
    ask(url)
    rows = list(
        Download.objects.order_by("id").values_list(
            "method", "outcome", "code", "grant__account__email"
        )
    )
    assert rows == [
        ("GET", "served", "", alice.email),
        ("HEAD", "served", "", alice.email),
        ("GET", "served", "", alice.email),
        ("GET", "denied", "range_not_satisfiable", alice.email),
        ("GET", "denied", "signature_invalid", alice.email),
        ("GET", "denied", "signature_invalid", None),
        ("GET", "denied", "revoked", alice.email),
    ]


# ---- with the real program, over a real socket ---------------------------------------------------


def test_curl_gets_the_published_bytes(big: str, tmp_path: Path, run_curl: Curl) -> None:
    target = tmp_path / "got"
    assert run_curl("-fL", "-o", str(target), big).returncode == 0
    assert sha256(target) == Artifact.objects.get(path="big.txt").sha256


def test_curl_resumes_a_cut_download(big: str, tmp_path: Path, run_curl: Curl) -> None:
    """The same line again goes on where it stopped; on a whole file it changes nothing (some
    curls say 416 then).
    """
    target = tmp_path / "got"
    cut = run_curl(
        "-fL", "-C", "-", "-o", str(target), "--limit-rate", "10M", "--max-time", "1", big
    )
    assert cut.returncode == 28
    kept = target.stat().st_size
    assert 0 < kept < BIG
    line = ("-fL", "-C", "-", "-o", str(target), big)
    assert run_curl(*line).returncode == 0
    assert sha256(target) == Artifact.objects.get(path="big.txt").sha256
    assert (last_row().first_byte, last_row().bytes_asked) == (kept, BIG - kept)
    again = run_curl(*line)
    assert again.returncode == 0 or "416" in again.stderr
    assert sha256(target) == Artifact.objects.get(path="big.txt").sha256


def test_who_goes_away_leaves_a_row_that_says_how_much_was_sent(big: str) -> None:
    place = urlsplit(big)
    with socket.create_connection((place.hostname, place.port)) as client:
        client.sendall(f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert finished(last_row()).bytes_sent < BIG


def test_curl_reads_one_line_that_says_why(big: str, run_curl: Curl) -> None:
    Grant.objects.update(status=Grant.Status.REVOKED, status_reason="Shared outside the lab.")
    answer = run_curl(big)
    assert answer.stdout.count("\n") == 1
    assert answer.stdout.startswith("revoked: ")


def test_a_page_of_the_site_answers_while_a_download_runs(big: str, run_curl: Curl) -> None:
    slow = subprocess.Popen(["curl", "-sS", "--limit-rate", "1M", "-o", "/dev/null", big])
    try:
        time.sleep(0.5)
        started = time.monotonic()
        assert (
            run_curl(
                "-fL", "-o", "/dev/null", urlsplit(big)._replace(path="/healthz").geturl()
            ).returncode
            == 0
        )
        assert time.monotonic() - started < 5
        assert slow.poll() is None
    finally:
        slow.kill()
        slow.wait()


def test_the_downloaded_shards_load_in_plain_torch(
    live: str, release: Release, tmp_path: Path, alice: Account, run_curl: Curl
) -> None:
    import torch

    Release.objects.filter(pk=release.pk).update(model_parallel=2)
    revision = publish(original(tmp_path / "two", 2), repo_id=release.repo_id, actor=None)
    grant = granted(alice, revision.release)
    for artifact in revision.artifacts.filter(path__endswith=".pth"):
        target = tmp_path / artifact.path
        assert (
            run_curl(
                "-fL", "-o", str(target), issue_link(artifact, grant=grant, actor=alice).url
            ).returncode
            == 0
        )
        assert sha256(target) == artifact.sha256
        assert len(torch.load(target, weights_only=True)) == 22
