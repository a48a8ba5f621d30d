"""What may leave under a grant: bytes a day, copies, transfers at once. A resumed byte counts once."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Artifact, DayUse, Download, FileUse, LinkTerms, Quota
from distribution.services import Ask, Terms, issue_link, open_link
from portal.accounts.models import Account
from portal.refusals import Code, Refusal
from tests.distribution.asking import Answer, ask, finished, send_by
from tests.distribution.test_downloads import BIG, big  # noqa: F401 - a fixture
from tests.distribution.weights import granted


@pytest.fixture
def grant(alice: Account, shard: Artifact) -> Grant:
    return granted(alice, shard.revision.release)


@pytest.fixture
def url(grant: Grant, shard: Artifact, alice: Account) -> str:
    return issue_link(shard, grant=grant, actor=alice).url


def exhausted(answer: Answer) -> int:
    """The seconds to wait; the answer must be a refusal that says so."""
    assert (answer.status, answer.headers["X-Error-Code"]) == (429, Code.QUOTA_EXHAUSTED)
    assert answer.text.count("\n") == 1
    return int(answer.headers["Retry-After"])


def limit(of: Grant, **values: int) -> None:
    Quota.objects.create(grant=of, **values)


def test_without_a_quota_nothing_but_places_is_limited(url: str) -> None:
    assert [ask(url).status for _ in range(5)] == [200] * 5
    assert FileUse.objects.get().copies == 5


def test_the_bytes_of_a_day_are_used_up_until_midnight(
    url: str, grant: Grant, shard: Artifact
) -> None:
    limit(grant, bytes_per_day=shard.size + 50)
    assert ask(url, range="bytes=0-99").status == 206
    assert ask(url).status == 200, "the hundred bytes do not count again"
    wait = exhausted(again := ask(url))
    assert 0 < wait <= 24 * 3600
    assert "50 bytes of today's are left" in again.text
    assert ask(url, "HEAD").status == 200, "which costs nothing"
    assert DayUse.objects.get().counted == shard.size
    DayUse.objects.update(day=timezone.now().date() - timedelta(days=1))
    assert ask(url).status == 200


def test_a_denial_uses_nothing(url: str, grant: Grant, shard: Artifact) -> None:
    limit(grant, bytes_per_day=shard.size - 1)
    exhausted(ask(url))
    assert not DayUse.objects.exists() or DayUse.objects.get().counted == 0
    assert not FileUse.objects.filter(copies__gt=0).exists()
    assert Download.objects.get().outcome == Download.Outcome.DENIED
    assert ask(url, range="bytes=0-9").status == 206, "a part fits"


def test_a_copy_is_every_byte_once(url: str, grant: Grant, shard: Artifact) -> None:
    limit(grant, copies=1)
    half = shard.size // 2
    assert ask(url, range=f"bytes=0-{half - 1}").status == 206
    assert ask(url, range=f"bytes={half - 10}-").status == 206, "ten bytes came twice"
    use = FileUse.objects.get()
    assert (use.copies, use.completed, use.repeated) == (1, 1, 10)
    assert DayUse.objects.get().counted == shard.size
    assert "You had 1 copy of consolidated.00.pth" in ask(url).text
    assert exhausted(ask(url)) > 3600
    assert ask(url, range=f"bytes={half}-").status == 206, "repairing the copy"


def test_one_file_used_up_says_nothing_of_another(
    url: str, grant: Grant, shard: Artifact, alice: Account
) -> None:
    limit(grant, copies=1)
    assert ask(url).status == 200
    exhausted(ask(url))
    other = shard.revision.artifacts.get(path="params.json")
    assert ask(issue_link(other, grant=grant, actor=alice).url).status == 200


def test_the_grants_own_quota_stands_before_the_releases_and_that_before_the_sites(
    url: str, grant: Grant, settings: Settings
) -> None:
    Quota.objects.create(release=grant.release, copies=1, transfers=5)
    assert ask(url).status == 200
    exhausted(ask(url))
    limit(grant, copies=2)
    assert ask(url).status == 200
    exhausted(ask(url))
    settings.DOWNLOAD_TRANSFERS = 0
    Quota.objects.filter(grant=grant).update(copies=9)
    assert ask(url).status == 200, "the release says 5"
    Quota.objects.filter(release=grant.release).update(transfers=None)
    exhausted(ask(url))


def test_another_persons_use_counts_for_them_alone(
    url: str, grant: Grant, shard: Artifact, mallory: Account
) -> None:
    Quota.objects.create(release=grant.release, copies=1, bytes_per_day=shard.size)
    assert ask(url).status == 200
    exhausted(ask(url))
    theirs = granted(mallory, grant.release)
    assert ask(issue_link(shard, grant=theirs, actor=mallory).url).status == 200


def test_transfers_at_once_have_so_many_places(url: str, grant: Grant) -> None:
    limit(grant, transfers=2)
    soon = timezone.now() + timedelta(seconds=7)
    for _ in range(2):
        Download.objects.create(
            grant=grant, outcome="served", method="GET", request_id="x", busy_until=soon
        )
    wait = exhausted(refused := ask(url))
    assert 1 <= wait <= 7
    assert "2 transfers run under your grant, and 2 may at once" in refused.text
    Download.objects.filter(request_id="x").update(busy_until=timezone.now())
    assert ask(url).status == 200, "who died without a word loses the place"
    assert Download.objects.latest("id").busy_until is None


def test_behind_a_proxy_the_bytes_that_were_asked_for_count(
    url: str, grant: Grant, shard: Artifact, settings: Settings
) -> None:
    settings.SENDFILE_LOCATION = "/_store/"
    limit(grant, copies=1, transfers=50)
    assert ask(url).status == 200
    row = Download.objects.get()
    assert (row.outcome, row.bytes_sent, row.bytes_counted) == ("handed", None, shard.size)
    assert ask(url, range="bytes=7-").status == 200, "the proxy makes the range; a resume"
    assert Download.objects.latest("id").bytes_counted == 0
    exhausted(ask(url))


def test_cloudfront_opens_the_whole_file_so_that_is_what_counts(
    url: str, grant: Grant, shard: Artifact, settings: Settings
) -> None:
    send_by("cloudfront", settings)
    limit(grant, copies=2, transfers=50, bytes_per_day=3 * shard.size)
    for _ in range(2):
        assert ask(url, range="bytes=5-5").status == 302
        row = Download.objects.latest("id")
        assert (row.first_byte, row.bytes_asked, row.bytes_counted) == (0, shard.size, shard.size)
    exhausted(ask(url, range="bytes=5-5"))
    assert DayUse.objects.get().counted == 2 * shard.size
    refused = ask(url, range="bytes=0-1,5-6")
    assert (refused.status, FileUse.objects.get().copies) == (416, 2), "an odd range costs nothing"


def test_s3_gives_the_range_of_its_signature_so_that_is_what_counts(
    url: str, shard: Artifact, settings: Settings
) -> None:
    send_by("s3", settings)
    assert "SignedHeaders=host%3Brange" in ask(url, range="bytes=5-5").headers["Location"]
    assert Download.objects.latest("id").bytes_counted == 1
    unlike = ask(url, range="bytes=5-5", if_range=f'"{shard.sha256}"').headers["Location"]
    assert "range" not in unlike, "a store may know another tag, and send the file"
    assert Download.objects.latest("id").bytes_counted == shard.size - 1
    for odd in ("Bytes=5-5", "bytes =5-5", "bytes=5-5,"):
        assert "range" not in ask(url, range=odd).headers["Location"]
        row = Download.objects.latest("id")
        assert (row.first_byte, row.bytes_asked) == (0, shard.size), odd


def test_all_but_the_first_byte_is_a_copy_each_time_but_for_one_repeat(
    url: str, grant: Grant
) -> None:
    limit(grant, copies=1)
    assert [ask(url, range="bytes=1-").status for _ in range(4)] == [206, 206, 429, 429]


def test_behind_a_proxy_a_copy_may_be_resumed_for_ten_times_its_bytes(
    url: str, grant: Grant, shard: Artifact, settings: Settings
) -> None:
    send_by("proxy", settings)
    limit(grant, copies=1, transfers=99)
    answers = [ask(url, range="bytes=1-").status for _ in range(12)]
    assert answers == [200] * 11 + [429]
    assert DayUse.objects.get().counted == shard.size - 1, "in a day's bytes each counts once"


# ---- over a real socket --------------------------------------------------------------------------


def test_a_cut_transfer_gives_back_what_was_not_sent(
    big: str,  # noqa: F811
    run_curl: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    grant = Grant.objects.get()
    limit(grant, copies=1, bytes_per_day=BIG)
    place = urlsplit(big)
    with socket.create_connection((place.hostname or "", place.port or 0)) as client:
        client.sendall(f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        read = 0
        while read < 3_000_000:
            read += len(client.recv(1 << 20))
    row = finished(Download.objects.latest("id"))
    assert 3_000_000 < row.bytes_sent < BIG
    assert row.bytes_counted == row.bytes_sent == DayUse.objects.get().counted
    kept = row.bytes_sent - 1000
    resumed = run_curl("-f", "-o", "/dev/null", "-w", "%{size_download}", "-r", f"{kept}-", big)
    assert resumed.stdout == str(BIG - kept)
    finished(Download.objects.latest("id"))
    assert DayUse.objects.get().counted == BIG
    use = FileUse.objects.get()
    assert (use.copies, use.completed, use.repeated) == (1, 1, 1000)
    assert run_curl(big).stdout.startswith("quota_exhausted: ")


# ---- in real parallel transactions ---------------------------------------------------------------


def in_parallel(times: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def opened(url: str, wanted: str = "") -> str:
    """ "" or the code of the refusal."""
    token, name = urlsplit(url).path.split("/")[2:]
    try:
        open_link(token, name, Ask(method="GET", range=wanted, request_id="race"))
    except Refusal as refusal:
        return str(refusal.code)
    return ""


@pytest.fixture
def race(transactional_db: None, shard: Artifact, alice: Account) -> tuple[Grant, str]:
    grant = granted(alice, shard.revision.release)
    return grant, issue_link(shard, grant=grant, actor=alice).url


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("quota", "asked", "let_in"),
    [
        ({"transfers": 3, "copies": 99}, "bytes=0-9", 3),
        ({"copies": 2, "transfers": 99}, "", 2),
        ({"bytes_per_day": 35, "transfers": 99}, "one after the other", 3),
    ],
)
def test_of_many_at_once_no_more_are_let_in_than_may(
    race: tuple[Grant, str], quota: dict[str, int], asked: str, let_in: int
) -> None:
    grant, url = race
    limit(grant, **quota)
    results: list[str] = []
    start = threading.Barrier(12)

    def work(number: int) -> None:
        start.wait()
        part = f"bytes={number * 10}-{number * 10 + 9}" if asked.startswith("one") else asked
        results.append(opened(url, part))

    in_parallel(12, work)
    assert sorted(results) == [""] * let_in + ["quota_exhausted"] * (12 - let_in)


@pytest.mark.postgres
@pytest.mark.parametrize("uses", [1, 2])
def test_a_link_opens_as_often_as_it_may_for_many_at_once(
    race: tuple[Grant, str], shard: Artifact, alice: Account, uses: int
) -> None:
    grant, _ = race
    limit(grant, transfers=99)
    url = issue_link(shard, grant=grant, actor=alice, terms=Terms(uses=uses)).url
    results: list[str] = []
    start = threading.Barrier(10)

    def work(number: int) -> None:
        start.wait()
        results.append(opened(url, ("", "bytes=1-", f"bytes={number * 10}-")[number % 3]))

    in_parallel(10, work)
    assert sorted(results) == [""] * uses + ["used_up"] * (10 - uses)
    assert LinkTerms.objects.get().openings == uses
    served = Download.objects.filter(outcome=Download.Outcome.SERVED)
    assert served.count() == uses


@pytest.mark.postgres
def test_the_books_are_right_after_openings_and_endings_in_parallel(
    race: tuple[Grant, str], shard: Artifact
) -> None:
    from distribution.services import finish

    grant, url = race
    limit(grant, transfers=99)

    def work(number: int) -> None:
        token, name = urlsplit(url).path.split("/")[2:]
        for turn in range(5):
            asked = f"bytes={(number * 5 + turn) * 20}-{(number * 5 + turn) * 20 + 19}"
            result = open_link(token, name, Ask(method="GET", range=asked, request_id="race"))
            time.sleep(0.001)
            finish(result.download, 20 if turn % 2 else 5)

    in_parallel(8, work)
    sent = 8 * (3 * 5 + 2 * 20)
    assert DayUse.objects.get().counted == sent
    use = FileUse.objects.get()
    assert sum(end - start for start, end in use.pieces) == sent
    assert use.repeated == 0
    assert not Download.objects.filter(busy_until__isnull=False).exists()
