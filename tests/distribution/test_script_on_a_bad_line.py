"""The script when the line is cut, when something in between answers, and when the site says no or not yet."""

import random
import re
import socket
import threading
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.utils import timezone

from access_requests.models import Grant
from distribution.models import Download
from distribution.script import keys
from distribution.services import linking
from portal.accounts.models import Account
from tests.distribution.cutting import Cut, Exchange, Line, plain
from tests.distribution.random_cuts import RandomCuts, release_of
from tests.distribution.scripting import Script, refused, script_of
from tests.waiting import until

PORTAL = b"<html><body>Sign in to the wireless network</body></html>"


# ---- cuts ----------------------------------------------------------------------------------------


def test_forty_random_cuts_leave_every_file_whole_and_fetch_no_byte_twice_but_what_was_lost(
    line: Line, alice: Account, release, tmp_path: Path
) -> None:
    """Half of the cuts are orderly, half are resets, which lose what was under way. benchmarks/ has 200."""
    folder = release_of(alice, release, tmp_path / "weights", files=4, size=400_000)
    script = script_of(alice, tmp_path / "here")
    cuts = RandomCuts(line, cuts=40, files=4, size=400_000, seed=4)
    done = script.run()
    assert done.returncode == 0, done.stderr
    assert cuts.made == 40
    for path in folder.iterdir():
        assert (script.release / path.name).read_bytes() == path.read_bytes()
    assert line.again() <= cuts.lost_at_most(), "a byte was fetched again that had come"


def test_orderly_cuts_lose_no_byte(script: Script, line: Line) -> None:
    numbers = random.Random(7)
    line.cut = lambda one: (
        Cut(numbers.randrange(600_000)) if one.is_download and one.number < 12 else None
    )
    assert script.run().returncode == 0
    assert line.again() == 0


def test_a_list_that_was_cut_short_is_asked_for_again(script: Script, line: Line) -> None:
    line.cut = lambda one: Cut(700) if one.number < 2 else None
    done = script.run()
    assert done.returncode == 0, done.stderr
    assert [one.was_cut for one in line.exchanges[:3]] == [True, True, False]


def test_a_list_whose_end_is_missing_is_not_taken_for_the_whole(script: Script, line: Line) -> None:
    """A proxy that shortens an answer and says that its shorter length is right."""
    whole = plain("200 OK", b"weighbridge-plain/1\nrelease llama-7b\n")
    line.answer = lambda one: whole if one.number == 0 else None
    done = script.run()
    assert done.returncode == 0, done.stderr
    assert "what came was cut short" in done.stdout


def test_a_line_that_stays_down_ends_it_with_a_reason(script: Script, line: Line) -> None:
    line.cut = lambda one: Cut(0) if one.is_download else None
    done = script.run("--retries", "2")
    assert "No byte came in 2 attempts" in refused(done, 4)
    assert not [name for name in script.got() if not name.endswith((".part", "empty.txt"))]
    line.cut = lambda _: None
    assert script.run().returncode == 0


def test_a_site_that_is_away_for_a_moment_is_waited_for(
    script: Script, line: Line, settings: LazySettings
) -> None:
    """As at a restart: the connection is refused, then the proxy has nobody behind it, then all is well."""
    place = urlsplit(line.url)
    text = script.path.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    script.path.write_text(text.replace(f":{place.port}", f":{nobody}"))
    assert "does not answer" in refused(script.run("--retries", "2"), 4)
    script.path.write_text(text)
    line.answer = lambda one: (
        plain("502 Bad Gateway", b"<html>") if one.number in (0, 2, 3) else None
    )
    done = script.run("--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "HTTP 502" in done.stdout


# ---- something else answers ----------------------------------------------------------------------


def test_a_sign_in_page_of_the_network_is_never_kept(script: Script, line: Line) -> None:
    """It answers 200 with a page in the place of every file; with half a part there too."""
    line.answer = lambda one: (
        plain("200 OK", PORTAL, Content_Type="text/html") if one.is_download else None
    )
    script.release.mkdir()
    (script.release / "big.txt.part").write_bytes(b"begun")
    done = script.run("--retries", "2")
    refused(done, 4)
    for path in script.release.rglob("*"):
        assert path.is_dir() or PORTAL not in path.read_bytes()
    assert (script.release / "big.txt.part").read_bytes() == b"begun", "what was there stays"


def test_a_proxy_that_cannot_resume_begins_anew_but_not_for_ever(
    script: Script, line: Line, folder: Path
) -> None:
    """It answers every range with the whole file. The part is given up, and the whole taken."""
    whole = plain("200 OK", (folder / "big.txt").read_bytes())
    line.answer = lambda one: whole if one.name == "big.txt" else None
    script.release.mkdir()
    (script.release / "big.txt.part").write_bytes(b"begun")
    assert script.run().returncode == 0
    assert (script.release / "big.txt").read_bytes() == (folder / "big.txt").read_bytes()
    assert len([one for one in line.downloads() if one.name == "big.txt"]) == 2


def test_a_page_of_the_files_own_length_is_never_taken_for_the_file(
    script: Script, line: Line, folder: Path
) -> None:
    size = (folder / "consolidated.00.pth").stat().st_size
    line.answer = lambda one: (
        plain("200 OK", PORTAL.ljust(size)) if one.name == "consolidated.00.pth" else None
    )
    assert "another SHA-256" in refused(script.run(), 5)
    assert "consolidated.00.pth" not in script.got()


def test_a_proxy_that_refuses_is_not_taken_for_the_site(script: Script, line: Line) -> None:
    line.answer = lambda _: plain("407 Proxy Authentication Required", b"Who are you?")
    assert "Who are you? (HTTP 407, and not from the site)" in refused(script.run(), 3)


def test_a_proxy_is_used_where_the_environment_names_one(
    script: Script, live: str, line: Line, settings: LazySettings, alice: Account
) -> None:
    settings.BASE_URL = live  # the script knows the site itself; the line becomes the proxy
    direct = script_of(alice, script.here)
    direct.environment["http_proxy"] = line.url
    assert direct.run().returncode == 0
    assert line.exchanges
    assert all(f"GET {live}/" in one.head or "POST" in one.head for one in line.exchanges)
    before = len(line.exchanges)
    assert direct.run("--list", no_proxy="127.0.0.1").returncode == 0
    assert len(line.exchanges) == before


# ---- the site says no ----------------------------------------------------------------------------


def test_the_first_refusal_stops_all_and_is_said_once(script: Script, line: Line) -> None:
    """The grant ends while files come side by side: everything stops, with code, cause, since when, what to
    do and the number of the request; whole files and parts stay.
    """

    def revoke(one: Exchange, block: bytes) -> bytes:
        if one.name == "big.txt" and one.sent > 500_000:
            until(lambda: "params.json" in script.got())  # so that it is big.txt that is refused
            now = timezone.now()
            Grant.objects.update(
                status=Grant.Status.REVOKED, status_reason="Shared outside.", status_changed_at=now
            )
        return block

    line.change = revoke
    line.cut = lambda one: Cut(1_000_000) if one.name == "big.txt" else None
    done = script.run("--jobs", "2", "--only", "big.txt", "--only", "params.json")
    said = refused(done, 3)
    assert said.startswith("stopped: big.txt: revoked: ")
    assert "Shared outside." in said
    assert re.search(r"\(since \d{4}-\d\d-\d\d \d\d:\d\d UTC\).*\[request [0-9a-f]+\]", said)
    assert done.stderr.count("stopped:") == 1
    assert script.got() == {"params.json", "big.txt.part"}
    assert not script.orphans()


def test_an_expired_link_is_signed_anew_without_a_word_from_anybody(
    script: Script, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, real = [], linking._expiry

    def soon_over(release, grant):
        given.append(1)
        return timezone.now() - timedelta(seconds=1) if len(given) == 1 else real(release, grant)

    monkeypatch.setattr(linking, "_expiry", soon_over)
    done = script.run()
    assert done.returncode == 0, done.stderr
    assert "its link is good no more (expired); asking for a fresh one" in done.stdout
    assert Download.objects.filter(outcome="denied", code="expired").count() == 4


def test_links_that_are_always_expired_end_it(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = timezone.now() - timedelta(hours=1)
    monkeypatch.setattr(linking, "_expiry", lambda release, grant: past)
    assert "expired: " in refused(script.run("--jobs", "1"), 3)
    assert Download.objects.filter(outcome="denied").count() <= 4


def test_an_expired_key_says_where_to_get_the_script_again(
    script: Script, alice: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LINK_LIVES", -1)
    old = script_of(alice, tmp_path / "old")
    said = refused(old.run(), 3)
    assert said.startswith("stopped: expired: The key in this script has expired.")
    assert "/releases/llama-7b/files/" in said


def test_a_key_of_a_revoked_grant_opens_nothing(script: Script, line: Line) -> None:
    Grant.objects.update(status=Grant.Status.REVOKED, status_reason="Left the lab.")
    assert "Left the lab." in refused(script.run(), 3)
    assert not line.downloads()


def test_an_altered_key_opens_nothing(script: Script) -> None:
    text = script.path.read_text()
    script.path.write_text(text.replace("KEY=wbs_", "KEY=wbs_1"))
    assert "not_signed_in: The key in this script was altered" in refused(script.run(), 3)


# ---- not yet -------------------------------------------------------------------------------------


def too_many(seconds: object) -> bytes:
    return plain(
        "429 Too Many Requests",
        b"quota_exhausted: That is all for today. Come back tomorrow. [request 1]\n",
        Retry_After=str(seconds),
        X_Error_Code="quota_exhausted",
    )


def test_it_waits_as_long_as_the_site_asks_and_says_so(script: Script, line: Line) -> None:
    asked = []

    def once(one: Exchange) -> bytes | None:
        if one.is_download and one.name == "big.txt" and not asked:
            asked.append(one)
            return too_many(1)
        return None

    line.answer = once
    done = script.run("--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "big.txt: quota_exhausted: the site asks to wait 1 s; waiting" in done.stdout


def test_it_does_not_wait_longer_than_it_was_told_to(script: Script, line: Line) -> None:
    line.answer = lambda one: too_many(3601) if one.is_download else None
    said = refused(script.run("--jobs", "1"), 8)
    assert "quota_exhausted: That is all for today." in said
    assert "asks to wait 3601 s; --max-wait allows 3600" in said
    line.answer = lambda one: too_many("Wed, 21 Oct 2026 07:28:00 GMT")
    assert "asks to wait 60 s" in refused(script.run("--max-wait", "59"), 8)


def test_where_fewer_transfers_are_allowed_it_goes_on_with_fewer(
    script: Script, line: Line
) -> None:
    """The site lets one transfer at a time through; four jobs end well, and nobody waits for an hour."""
    place = threading.Lock()
    busy: set[int] = set()

    def one_at_a_time(one: Exchange) -> bytes | None:
        if not one.is_download:
            return None
        with place:
            if busy:
                return too_many(1)
            busy.add(one.number)
        return None

    def ended(one: Exchange, block: bytes) -> bytes:
        if one.sent + len(block) >= one.length:
            busy.discard(one.number)
        return block

    line.answer, line.change = one_at_a_time, ended
    done = script.run("--jobs", "4", "--max-wait", "30")
    assert done.returncode == 0, done.stderr
    assert "all 5 files verified" in done.stdout
