"""Links that are bound to a network or to a number of uses."""

from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Artifact, Download, LinkTerms, Quota
from distribution.services import Terms, issue_link, issue_links
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.distribution.asking import ask, send_by
from tests.distribution.weights import granted
from tests.people import with_token


@pytest.fixture
def grant(alice: Account, shard: Artifact) -> Grant:
    return granted(alice, shard.revision.release)


def bound(shard: Artifact, grant: Grant, *, network: str = "", uses: int | None = None) -> str:
    return issue_link(shard, grant=grant, actor=grant.account, terms=Terms(network, uses)).url


def code_from(ip: str, url: str) -> str:
    """What comes of opening it from that address: "" or the code of the refusal."""
    return ask(url, ip=ip).headers.get("X-Error-Code", "")


def test_a_link_of_a_network_opens_from_there_alone(shard: Artifact, grant: Grant) -> None:
    url = bound(shard, grant, network="203.0.113.0/25")
    assert code_from("203.0.113.7", url) == ""
    assert code_from("::ffff:203.0.113.8", url) == ""
    assert code_from("203.0.113.200", url) == Code.WRONG_NETWORK
    assert code_from("2001:db8::1", url) == Code.WRONG_NETWORK
    assert Download.objects.filter(code="wrong_network").count() == 2
    six = bound(shard, grant, network="2001:db8::/32")
    assert code_from("2001:db8::7", six) == ""
    assert code_from("203.0.113.7", six) == Code.WRONG_NETWORK


def test_a_link_for_one_use_is_used_up_by_it(shard: Artifact, grant: Grant) -> None:
    url = bound(shard, grant, uses=1)
    assert ask(url, "HEAD").status == 200, "which is no use"
    assert ask(url, if_none_match=f'"{shard.sha256}"').status == 304, "nor is this"
    assert ask(url).status == 200
    assert_used_up(url)


def assert_used_up(url: str, **headers: str) -> None:
    again = ask(url, **headers)
    assert (again.status, again.headers["X-Error-Code"]) == (403, Code.USED_UP)
    assert "opens once" in again.text
    assert "does not resume" in again.text


def openings() -> int:
    return LinkTerms.objects.get().openings


@pytest.mark.parametrize("part", ["bytes=1-", "bytes=0-99", "bytes=-1", "bytes=5-5"])
def test_a_use_is_an_opening_of_whatever_part(shard: Artifact, grant: Grant, part: str) -> None:
    """What came of it cannot always be known; asked for from its second byte, the file left three times."""
    url = bound(shard, grant, uses=1)
    first = ask(url, range=part)
    assert first.status == 206
    assert first.headers["Accept-Ranges"] == "none", "so that no client counts on a resume"
    for again in (part, "bytes=100-", "bytes=0-", ""):
        assert_used_up(url, range=again)
    assert openings() == 1


def test_a_used_up_link_shows_nothing_more(shard: Artifact, grant: Grant) -> None:
    url = bound(shard, grant, uses=1)
    assert ask(url).status == 200
    for method, headers in (
        ("HEAD", {}),
        ("GET", {"if_none_match": f'"{shard.sha256}"'}),
        ("GET", {"range": f"bytes={shard.size}-"}),
        ("GET", {"range": "bytes=0-1,5-6"}),
    ):
        answer = ask(url, method, **headers)
        assert (answer.status, answer.headers["X-Error-Code"]) == (403, Code.USED_UP)
        shown = str(answer.headers) + answer.text
        assert shard.sha256 not in shown
        assert str(shard.size) not in shown


def test_what_sends_no_bytes_is_no_use(shard: Artifact, grant: Grant) -> None:
    url = bound(shard, grant, uses=1)
    assert ask(url, "HEAD").status == 200
    assert ask(url, range=f"bytes={shard.size}-").status == 416
    assert ask(url, range="bytes=0-1,5-6").status == 416
    Quota.objects.create(grant=grant, bytes_per_day=1)
    assert ask(url).status == 429
    assert openings() == 0
    Quota.objects.all().delete()
    assert ask(url).status == 200


def test_a_link_without_a_number_of_uses_resumes(shard: Artifact, grant: Grant) -> None:
    url = bound(shard, grant, network="127.0.0.0/8")
    assert ask(url).headers["Accept-Ranges"] == "bytes"
    assert ask(url, range="bytes=1-").status == 206


@pytest.mark.parametrize("behind", ["proxy", "s3", "cloudfront"])
def test_whoever_sends_the_bytes_a_use_is_an_opening(
    shard: Artifact, grant: Grant, settings: Settings, behind: str
) -> None:
    url = bound(shard, grant, uses=1)
    send_by(behind, settings)
    assert ask(url, range="bytes=1-").status == (200 if behind == "proxy" else 302)
    assert_used_up(url, range="bytes=1-")
    assert_used_up(url)


def test_the_stores_address_of_a_limited_link_is_short_lived(
    shard: Artifact, grant: Grant, settings: Settings
) -> None:
    limited, free = bound(shard, grant, uses=1), bound(shard, grant)
    send_by("s3", settings)
    assert "X-Amz-Expires=15&" in ask(limited).headers["Location"]
    assert "X-Amz-Expires=120&" in ask(free).headers["Location"]


def test_the_terms_of_one_link_say_nothing_of_another(shard: Artifact, grant: Grant) -> None:
    first, second = bound(shard, grant, uses=1), bound(shard, grant, uses=1)
    assert ask(first).status == 200
    assert ask(second).status == 200
    token = urlsplit(second).path.split("/")[2]
    pieces = token.split(".")
    for swapped in (".".join([*pieces[:3], pieces[4]]), ".".join([*pieces[:3], "1", pieces[4]])):
        if swapped != token:
            assert ask(second.replace(token, swapped)).status == 403


def test_all_links_of_a_release_are_bound_in_one_call(
    grant: Grant, alice: Account, release: Release
) -> None:
    client = with_token(alice)
    path = f"/api/v1/releases/{release.slug}/links/"
    answer = client.post(
        path, {"network": "203.0.113.9/24", "uses": 2}, content_type="application/json"
    )
    assert answer.status_code == 200
    assert len(answer.json()) == LinkTerms.objects.count() == 3
    assert set(LinkTerms.objects.values_list("network", "uses")) == {("203.0.113.0/24", 2)}
    for wrong in ({"network": "the lab"}, {"uses": 0}):
        refused = client.post(path, wrong, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
        assert list(refused.json()["fields"]) == list(wrong)
    assert LinkTerms.objects.count() == 3


def test_terms_that_make_no_sense_are_refused(
    grant: Grant, alice: Account, release: Release
) -> None:
    for terms in (Terms("300.1.1.0/24"), Terms("", 0)):
        with pytest.raises(Refusal) as refused:
            issue_links(release, actor=alice, terms=terms)
        assert refused.value.code == Code.INVALID
