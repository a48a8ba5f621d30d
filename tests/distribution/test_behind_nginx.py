"""The local store through a real nginx: our door decides, the proxy sends the bytes."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Artifact, Download, Revision
from distribution.services import issue_link
from portal.accounts.models import Account
from tests.deploy import nginx
from tests.distribution.weights import granted

pytestmark = pytest.mark.skipif(
    nginx.EXECUTABLE is None, reason="needs nginx: apt-get install nginx"
)
Curl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def proxy(
    live: str, revision: Revision, store: Path, settings: Settings, tmp_path: Path
) -> Iterator[str]:
    """The address of the proxy, with the template's own configuration."""
    settings.SENDFILE_LOCATION = "/_store/"
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = nginx.free_port()
    web = urlsplit(live).netloc
    file = nginx.configuration(folder, port, PROXY_WEB=web, PROXY_STORE=f"{store}/")
    with nginx.running(file, port) as url:
        yield url


@pytest.fixture
def shard(revision: Revision) -> Artifact:
    return revision.artifacts.get(path="consolidated.00.pth")


@pytest.fixture
def url(proxy: str, shard: Artifact, alice: Account) -> str:
    link = issue_link(shard, grant=granted(alice, shard.revision.release), actor=alice).url
    return proxy + urlsplit(link).path


def test_the_proxy_sends_what_our_door_lets_out(url: str, shard: Artifact, folder: Path) -> None:
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.content == (folder / shard.path).read_bytes()
    assert answer.headers["ETag"] == f'"{shard.sha256}"'
    assert answer.headers["Content-Length"] == str(shard.size)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="consolidated.00.pth"'
    row = Download.objects.get()
    assert (row.outcome, row.bytes_asked, row.bytes_sent) == ("handed", shard.size, None)
    assert row.network == "127.0.0.0/24"


def test_the_proxy_makes_the_range_and_the_resume(
    url: str, shard: Artifact, folder: Path, tmp_path: Path, run_curl: Curl
) -> None:
    content = (folder / shard.path).read_bytes()
    part = httpx.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    same = {"Range": "bytes=5-", "If-Range": f'"{shard.sha256}"'}
    assert httpx.get(url, headers=same).content == content[5:]
    other = {"Range": "bytes=5-", "If-Range": '"of yesterday"'}
    assert httpx.get(url, headers=other).content == content
    target = tmp_path / "got"
    target.write_bytes(content[:1000])
    assert run_curl("-f", "-C", "-", "-o", str(target), url).returncode == 0
    assert target.read_bytes() == content


def test_the_proxy_dates_a_file_as_our_door_does(url: str, shard: Artifact) -> None:
    """Not by the file in the store, which an earlier revision may have brought."""
    date = "Wed, 04 Mar 2026 05:06:07 GMT"
    Revision.objects.update(created_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
    for headers in ({}, {"Range": "bytes=0-9"}):
        assert httpx.get(url, headers=headers).headers["Last-Modified"] == date
    assert httpx.head(url).headers["Last-Modified"] == date
    known = httpx.get(url, headers={"If-Modified-Since": date})
    assert (known.status_code, known.content) == (304, b"")
    older = {"If-Modified-Since": "Wed, 04 Mar 2026 05:06:06 GMT"}
    assert httpx.get(url, headers=older).status_code == 200
    tag = {"If-Modified-Since": date, "If-None-Match": '"other"'}
    assert httpx.get(url, headers=tag).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=5-5"},
        {"Range": "Bytes=5-5"},
        {"Range": "bytes =5-5"},
        {"Range": "bytes= 5-5"},
        {"Range": "bytes=5-5,"},
        {"Range": "bytes=-1"},
        {"Range": "bytes=00000000000000000005-00000000000000000005"},
        {"Range": "bytes=5-5", "If-Range": 'W/"x"'},
        {"Range": "bytes=5-5", "If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"},
        [("Range", "bytes=5-5"), ("Range", "bytes=0-")],
    ],
)
def test_no_more_leaves_than_was_counted(
    url: str, headers: dict[str, str] | list[tuple[str, str]]
) -> None:
    answer = httpx.get(url, headers=headers)
    row = Download.objects.latest("id")
    assert len(answer.content) <= row.bytes_asked or answer.status_code >= 400


def test_nobody_reaches_the_store_beside_our_door(
    url: str, proxy: str, shard: Artifact, folder: Path
) -> None:
    assert httpx.get(f"{proxy}/_store/{shard.store_key}").status_code == 404
    for path in ("/_store/../_store/", "/_store//", "//_store/", "/%5fstore/"):
        answer = httpx.get(f"{proxy}{path}{shard.store_key}")
        assert answer.content != (folder / shard.path).read_bytes(), path


def test_a_revoked_grant_is_refused_at_the_next_request(url: str) -> None:
    assert httpx.get(url).status_code == 200
    Grant.objects.update(status=Grant.Status.REVOKED, status_reason="A copy was found.")
    answer = httpx.get(url, headers={"Range": "bytes=10-"})
    assert answer.status_code == 403
    assert answer.text.startswith("revoked: ")
    assert answer.headers["X-Request-Id"] in answer.text
