"""Last-Modified and If-Modified-Since: files are fetched again only where they are others."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils.http import http_date
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Artifact, Download, Revision
from distribution.services import issue_link, make_current, publish
from portal.accounts.models import Account, ApiToken
from tests.distribution.asking import Answer, ask, finished, send_by

PUBLISHED = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
DATE = "Wed, 04 Mar 2026 05:06:07 GMT"
EARLIER, LATER = "Wed, 04 Mar 2026 05:06:06 GMT", "Thu, 05 Mar 2026 00:00:00 GMT"


@pytest.fixture(autouse=True)
def dated(revision: Revision) -> None:
    Revision.objects.update(created_at=PUBLISHED)


# ---- a link --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_says_when_it_was_published(url: str, method: str) -> None:
    assert ask(url, method).headers["Last-Modified"] == DATE
    assert ask(url, method, range="bytes=0-1").headers["Last-Modified"] == DATE


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_modified_since": ""}, 200),
        ({"if_modified_since": f"{DATE}, {DATE}"}, 200),
        # The entity tag counts alone where it is sent.
        ({"if_modified_since": LATER, "if_none_match": '"other"'}, 200),
        ({"if_modified_since": EARLIER, "if_none_match": "*"}, 304),
    ],
)
def test_a_copy_of_that_time_is_not_sent_again(
    url: str, method: str, headers: dict[str, str], status: int
) -> None:
    answer = ask(url, method, **headers)
    assert answer.status == status
    if status == 304:
        assert answer.body == b""
        assert Download.objects.latest("id").bytes_asked == 0


def test_a_date_is_no_proof_for_resuming(url: str, shard: Artifact) -> None:
    answer = ask(url, range="bytes=5-", if_range=DATE)
    assert (answer.status, len(answer.body)) == (200, shard.size)


@pytest.mark.parametrize("whom", ["s3", "cloudfront"])
def test_no_store_is_asked_for_what_the_client_has(url: str, settings: Settings, whom: str) -> None:
    send_by(whom, settings)
    assert ask(url, if_modified_since=LATER).status == 304
    assert ask(url, if_modified_since=EARLIER).status == 302


def test_a_revoked_grant_is_refused_whatever_the_date(url: str) -> None:
    Grant.objects.update(status=Grant.Status.REVOKED, status_reason="A copy was found.")
    refused = ask(url, if_modified_since=LATER)
    assert refused.status == 403
    assert "Last-Modified" not in refused.headers


# ---- a branch ------------------------------------------------------------------------------------

RESOLVE = "/meta/llama-7b/resolve"


def at(place: str, token: str, **headers: str) -> Answer:
    return ask(f"{RESOLVE}/{place}/params.json", authorization=token, **headers)


@pytest.fixture
def bearer(grant: Grant, alice: Account) -> str:
    return f"Bearer {ApiToken.make(alice, name='test', scopes=['download'])[1]}"


def test_a_branch_that_goes_back_to_an_older_revision_is_fetched_again(
    revision: Revision, folder: Path, bearer: str, manager: Account
) -> None:
    (folder / "params.json").write_text((folder / "params.json").read_text() + "\n")
    newer = publish(folder, repo_id=revision.release.repo_id, actor=None)
    Revision.objects.filter(pk=newer.pk).update(created_at=PUBLISHED + timedelta(days=1))
    date = http_date((PUBLISHED + timedelta(days=1)).timestamp())
    assert at("main", bearer, if_modified_since=date).status == 304
    make_current(revision.pk, actor=manager, note="The newer one is broken.")
    assert at("main", bearer, if_modified_since=date).status == 200
    assert at("HEAD", bearer, if_modified_since=date).status == 200
    assert at("main", bearer, if_modified_since=DATE).status == 304
    assert at(revision.digest, bearer, if_modified_since=LATER).status == 304


# ---- the programs --------------------------------------------------------------------------------


@pytest.fixture
def live_url(live: str, shard: Artifact, grant: Grant, alice: Account) -> str:
    return issue_link(shard, grant=grant, actor=alice).url


def bytes_sent() -> int:
    return sum(finished(row).bytes_sent or 0 for row in Download.objects.all())


@pytest.mark.parametrize(
    "command",
    [
        ["curl", "-fsS", "-R", "-z", "got.pth", "-o", "got.pth"],
        ["curl", "-fsS", "-z", "got.pth", "-o", "got.pth"],
        ["wget", "-q", "-N"],
        ["aria2c", "-q", "--conditional-get=true", "--allow-overwrite=true", "-o", "got.pth"],
    ],
    ids=["curl -R -z", "curl -z", "wget -N", "aria2c --conditional-get"],
)
def test_programs_fetch_a_file_once(
    live_url: str, shard: Artifact, folder: Path, tmp_path: Path, command: list[str]
) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    here = tmp_path / "here"
    here.mkdir()
    for _ in range(2):
        done = subprocess.run([*command, live_url], cwd=here, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
    (got,) = here.iterdir()
    assert got.read_bytes() == (folder / shard.path).read_bytes()
    assert bytes_sent() == shard.size, "the second time nothing was sent"
