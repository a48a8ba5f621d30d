"""Programs reach a link without most of the middleware; what they get is what the long way gives."""

from pathlib import Path

import pytest
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Artifact, Download
from portal import straight
from tests.distribution.asking import Answer, ask

PAGE = "text/html,*/*"  # as a browser says


def headers(answer: Answer) -> dict[str, str]:
    """Without what differs from request to request, or says what a page may load."""
    others = {"X-Request-Id", "Content-Security-Policy", "Vary"}
    return {name: value for name, value in answer.headers.items() if name not in others}


def test_both_ways_give_the_same_file_and_headers(url: str, folder: Path, shard: Artifact) -> None:
    for asked in ({}, {"Range": "bytes=5-9"}, {"If_None_Match": f'"{shard.sha256}"'}):
        straight, long = ask(url, **asked), ask(url, Accept=PAGE, **asked)
        assert (straight.status, straight.body) == (long.status, long.body)
        assert headers(straight) == headers(long)
        assert straight.headers["X-Content-Type-Options"] == "nosniff"
    straight, long = ask(url, "HEAD"), ask(url, "HEAD", Accept=PAGE)
    assert headers(straight) == headers(long)


def test_a_program_really_goes_the_straight_way(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every test here would compare the long way with itself."""
    found = []
    real = straight._match
    monkeypatch.setattr(straight, "_match", lambda scope: found.append(real(scope)) or found[-1])
    assert ask(url).status == 200
    assert ask("/releases/").status == 200
    ask(url, Accept=PAGE)
    ask(url, "POST")
    assert [bool(match) for match in found] == [True, False, False, False]


def test_a_refusal_is_one_line_for_a_program_and_a_page_for_a_browser(
    url: str, grant: Grant
) -> None:
    Grant.objects.filter(pk=grant.pk).update(status=Grant.Status.REVOKED, status_reason="Shared.")
    straight, long = ask(url), ask(url, Accept=PAGE)
    assert (straight.status, straight.headers["X-Error-Code"]) == (403, "revoked")
    assert (long.status, long.headers["X-Error-Code"]) == (403, "revoked")
    assert straight.text.startswith("revoked: ")
    assert straight.text.count("\n") == 1
    assert "<html" in long.text
    assert int(straight.headers["Content-Length"]) == len(straight.body)
    assert Download.objects.filter(code="revoked").count() == 2


def test_a_host_that_is_not_ours_is_refused(url: str) -> None:
    assert ask(url, Host="evil.example").status == 400
    assert ask(url, Host="evil.example", Accept=PAGE).status == 400
    assert not Download.objects.exists()


def test_only_reading_is_allowed(url: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ask(url, method).status == 405
    assert not Download.objects.exists()


def test_a_site_that_wants_https_gets_it(url: str, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = ask(url)
    assert answer.status == 301
    assert answer.headers["Location"].startswith("https://")
    assert not Download.objects.exists()
