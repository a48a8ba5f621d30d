"""A revoked grant stops its own transfers within five seconds; what the store serves, at the next request."""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncRequestFactory
from pytest_django import Settings

from access_requests.models import Grant
from distribution import streaming, watching
from distribution.models import Artifact, Download, Revision
from distribution.services import Ask, issue_link, open_link, publish, take_down, withdraw
from distribution.stores import get_store
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.handler import SiteHandler
from portal.sendfile import Protocol
from tests.distribution.asking import ask, finished
from tests.distribution.test_downloads import BIG, big  # noqa: F401 - a fixture
from tests.distribution.weights import granted

SLOW = ["curl", "-sS", "--limit-rate", "1500k", "-o", "/dev/null"]  # twenty seconds for all


def begun() -> Download:
    deadline = time.monotonic() + 10
    while (row := Download.objects.order_by("-id").first()) is None:
        assert time.monotonic() < deadline, "the transfer did not begin"
        time.sleep(0.05)
    return row


def running(url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([*SLOW, url], stderr=subprocess.PIPE, text=True)


@pytest.fixture(params=["by the server", "in chunks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways that bytes leave this process."""
    if request.param == "in chunks":
        monkeypatch.setattr(streaming, "EXTENSION", "not there")
    return str(request.param)


@pytest.mark.parametrize("act", ["revoked", "suspended", "withdrawn", "taken_down"])
def test_a_running_transfer_stops_within_five_seconds(
    big: str,  # noqa: F811
    way: str,
    act: str,
    release: Release,
    manager: Account,
    mallory: Account,
) -> None:
    from access_requests import services

    other = granted(mallory, release)
    artifact = Artifact.objects.get(path="big.txt")
    others_url = issue_link(artifact, grant=other, actor=mallory).url
    grant = Grant.objects.exclude(pk=other.pk).get()
    mine = running(big)
    row = begun()
    theirs = running(others_url)
    time.sleep(0.5)
    match act:
        case "revoked":
            services.revoke(grant.pk, actor=manager, reason="A copy was found.")
        case "suspended":
            services.suspend(grant.pk, actor=manager, reason="To be looked at.")
        case "withdrawn":
            withdraw(release.pk, actor=manager, reason="Wrong weights.")
        case "taken_down":
            take_down(artifact.revision_id, actor=manager, reason="A shard was damaged.")
    at = time.monotonic()
    row = finished(row)
    stopped = time.monotonic() - at
    # curl still reads what lay in the buffers between; then it sees that the transfer was cut.
    _, said = mine.communicate(timeout=30)
    assert stopped < 5
    assert mine.returncode == 18, said
    assert row.code == act
    assert 0 < row.bytes_sent < BIG
    event = Event.objects.get(verb=Verb.DOWNLOAD_STOPPED, subject_id=str(row.pk))
    assert (event.data["code"], event.data["bytes"]) == (act, row.bytes_sent)
    assert ask(big, range=f"bytes={row.bytes_sent}-").headers["X-Error-Code"] == act
    if act in ("withdrawn", "taken_down"):
        theirs.wait(30)
    else:
        assert theirs.poll() is None, "another grant's transfer goes on"
    theirs.kill()
    theirs.communicate()


def test_whole_files_arrive_both_ways(
    big: str,  # noqa: F811
    way: str,
    tmp_path: Path,
    run_curl,
) -> None:
    assert run_curl("-fL", "-o", str(tmp_path / "got"), big).returncode == 0
    sha = hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest()
    assert sha == Artifact.objects.get(path="big.txt").sha256
    row = finished(Download.objects.latest("id"))
    assert (row.bytes_sent, row.code, row.busy_until) == (BIG, "", None)
    part = run_curl("-f", "-o", str(tmp_path / "part"), "-r", "5000000-25000000", big)
    assert part.returncode == 0
    assert (tmp_path / "part").read_bytes() == (tmp_path / "got").read_bytes()[5000000:25000001]


def test_many_files_over_one_connection_arrive_whole(
    live: str, release: Release, folder: Path, alice: Account, tmp_path: Path, run_curl
) -> None:
    """What follows the file on the same connection is the next answer, and nothing is mixed up."""
    for number in range(6):
        (folder / f"part{number}.txt").write_bytes(os.urandom(1_000_000 + number))
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    grant = granted(alice, revision.release)
    line: list[str] = []
    for artifact in revision.artifacts.filter(path__startswith="part"):
        url = issue_link(artifact, grant=grant, actor=alice).url
        line += ["-o", str(tmp_path / artifact.path), url]
    done = run_curl("-f", "-w", "%{num_connects}\n", *line)
    assert done.returncode == 0
    assert done.stdout.split() == ["1", "0", "0", "0", "0", "0"]
    for artifact in revision.artifacts.filter(path__startswith="part"):
        got = (tmp_path / artifact.path).read_bytes()
        assert hashlib.sha256(got).hexdigest() == artifact.sha256


def test_one_question_is_asked_for_all_transfers(
    revision: Revision, shard: Artifact, alice: Account, django_assert_num_queries
) -> None:
    grant = granted(alice, revision.release)
    rows = [
        Download.objects.create(
            grant=grant, artifact=shard, outcome="served", method="GET", request_id="x"
        )
        for _ in range(20)
    ]
    from distribution.services import hold_places, refused_among

    with django_assert_num_queries(3):  # the grants, what stands behind them, the files
        assert refused_among(rows) == {}
    with django_assert_num_queries(1):
        hold_places(rows)
    assert Download.objects.filter(busy_until__isnull=False).count() == 20
    Grant.objects.update(status=Grant.Status.REVOKED)
    assert set(refused_among(rows)) == {row.pk for row in rows}


def test_a_long_transfer_keeps_its_place_and_a_question_that_fails_ends_none(
    big: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "SECONDS", 0.2)
    monkeypatch.setattr(watching, "RENEW", 0.1)
    real, asked = watching._asked, []

    def sometimes(rows: list[Download], renew: bool) -> dict:
        asked.append(renew)
        if len(asked) < 3:
            raise OSError("the database is away")
        return real(rows, renew)

    monkeypatch.setattr(watching, "_asked", sometimes)
    transfer = running(big)
    row = begun()
    first, deadline = row.busy_until, time.monotonic() + 10
    while row.busy_until == first:
        assert time.monotonic() < deadline, "its place was not renewed"
        time.sleep(0.1)
        row.refresh_from_db()
    assert len(asked) >= 3
    assert transfer.poll() is None
    transfer.kill()
    transfer.communicate()
    finished(row)
    time.sleep(0.5)
    before = len(asked)
    time.sleep(0.6)
    assert len(asked) == before, "nobody asks when nothing runs"


def test_over_tls_the_extension_is_not_offered() -> None:
    class Transport:
        def get_extra_info(self, name: str) -> object:
            return object() if name == "sslcontext" else None

    class Cycle:
        transport, scope = Transport(), {}

        async def run_asgi(self, app: object) -> None: ...

    import asyncio

    import uvicorn
    from uvicorn.server import ServerState

    async def offered() -> dict:
        config = uvicorn.Config(SiteHandler(), http=Protocol, lifespan="off")
        protocol = Protocol(config=config, server_state=ServerState(), app_state={})
        protocol._start_asgi_task(Cycle(), None)
        return Cycle.scope

    assert asyncio.run(offered()) == {}


def test_what_the_store_serves_is_refused_at_the_next_request(
    s3: object, settings: Settings, alice: Account, release: Release, folder: Path
) -> None:
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    grant = granted(alice, revision.release)
    artifact = revision.artifacts.get(path="consolidated.00.pth")
    url = issue_link(artifact, grant=grant, actor=alice).url
    assert ask(url).status == 302
    Grant.objects.update(status=Grant.Status.REVOKED)
    assert ask(url, range="bytes=10-").headers["X-Error-Code"] == "revoked"


def test_a_socket_that_closes_under_a_transfer_leaves_a_row_that_is_over(
    revision: Revision, shard: Artifact, alice: Account
) -> None:
    link = issue_link(shard, grant=granted(alice, revision.release), actor=alice)
    token = link.url.split("/download/")[1].split("/")[0]
    opened = open_link(token, shard.path, Ask(method="GET"))
    path = get_store().local_path(shard.store_key)
    assert path is not None

    async def closed(file: int, start: int, left: int, advance: Callable[[int], None]) -> None:
        advance(7)
        raise OSError(9, "Bad file descriptor")

    request = AsyncRequestFactory().get("/")
    request.scope["extensions"] = {streaming.EXTENSION: closed}
    stream = streaming.FileStream(request, path, opened)

    @async_to_sync
    async def read() -> None:
        async for _ in stream:
            pass

    with pytest.raises(OSError, match="Bad file descriptor"):
        read()
    row = Download.objects.get(pk=opened.download.pk)
    assert (row.bytes_sent, row.busy_until) == (7, None)
    assert row.finished_at is not None
