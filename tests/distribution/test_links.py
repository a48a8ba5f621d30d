"""A link opens one file under one grant until its time, and not one character of it can be
changed.
"""

import string
from datetime import timedelta
from urllib.parse import quote, urlsplit

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from access_requests.models import Grant, Tier
from distribution import links
from distribution.models import Artifact, Download, Revision
from distribution.services import issue_link, issue_links, withdraw
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.distribution.asking import ask
from tests.distribution.weights import granted

MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def denied(url: str, code: Code, status: int = 403) -> str:
    """Open the link; it must be refused for this reason, in one line, with its own row. Returns
    the line.
    """
    before = Download.objects.count()
    answer = ask(url)
    assert (answer.status, answer.headers.get("X-Error-Code")) == (status, code)
    assert answer.text.count("\n") == 1
    assert answer.text.startswith(f"{code}: ")
    assert Download.objects.count() == before + 1
    row = Download.objects.latest("id")
    assert (row.outcome, row.code) == (Download.Outcome.DENIED, code)
    assert Event.objects.filter(verb=Verb.DOWNLOAD_DENIED, subject_id=str(row.pk)).count() == 1
    return answer.text


def test_a_link_opens_its_file(url: str, shard: Artifact, folder) -> None:
    answer = ask(url)
    assert answer.status == 200
    assert answer.body == (folder / shard.path).read_bytes()


def test_a_link_is_short_and_has_no_query_for_a_mail_client_to_break(url: str) -> None:
    assert len(url) < 120
    assert not set("?&=;%#") & set(url)


def test_403_from_a_fresh_link_and_no_word_why(url: str, grant: Grant) -> None:
    """llama#278, #317, #360, #653: whatever refuses it, the answer says the cause and the way
    out.
    """
    Grant.objects.filter(pk=grant.pk).update(
        status=Grant.Status.REVOKED,
        status_reason="Shared outside the lab.",
        status_changed_at=timezone.now(),
    )
    line = denied(url, Code.REVOKED)
    assert "Shared outside the lab." in line
    assert "(since " in line
    assert "apply again" in line
    page = ask(url, accept="text/html")
    assert page.status == 403
    assert "Shared outside the lab." in page.text


def test_a_revoked_grant_that_comes_back_opens_the_same_link_again(url: str, grant: Grant) -> None:
    Grant.objects.filter(pk=grant.pk).update(status=Grant.Status.SUSPENDED)
    denied(url, Code.SUSPENDED)
    Grant.objects.filter(pk=grant.pk).update(status=Grant.Status.ACTIVE)
    assert ask(url).status == 200


def test_an_expired_link_says_since_when_and_where_a_fresh_one_is(
    grant: Grant, shard: Artifact
) -> None:
    url = links.url(grant.pk, shard, expires_at=timezone.now() - timedelta(hours=1))
    line = denied(url, Code.EXPIRED)
    assert "(since " in line
    assert "http://testserver/releases/llama-7b/files/" in line
    fresh = links.url(grant.pk, shard, expires_at=timezone.now() + timedelta(minutes=1))
    assert ask(fresh).status == 200


def test_a_grant_that_has_ended_opens_nothing(url: str, grant: Grant) -> None:
    Grant.objects.filter(pk=grant.pk).update(ends_at=timezone.now() - timedelta(seconds=1))
    assert "ended" in denied(url, Code.EXPIRED)


def test_a_grant_for_the_sandbox_alone_opens_no_file(url: str, grant: Grant) -> None:
    Grant.objects.filter(pk=grant.pk).update(tier=Tier.TRY)
    denied(url, Code.TIER_TOO_LOW)


def test_a_withdrawn_release_opens_nothing(url: str, release: Release) -> None:
    withdraw(release.pk, actor=None, reason="Wrong weights.")
    denied(url, Code.WITHDRAWN)


def test_a_release_that_is_only_announced_opens_nothing(url: str, release: Release) -> None:
    Release.objects.filter(pk=release.pk).update(status=Release.Status.ANNOUNCED)
    denied(url, Code.NOT_PUBLISHED)


def test_a_closed_account_opens_nothing(url: str, alice: Account) -> None:
    Account.objects.filter(pk=alice.pk).update(is_active=False)
    denied(url, Code.SUSPENDED)


def test_a_file_that_the_store_lost_is_said_to_be_our_fault(
    url: str, shard: Artifact, store
) -> None:
    (store / shard.store_key).unlink()
    denied(url, Code.UNAVAILABLE, 503)


def test_the_link_of_another_grant_is_another_link(
    url: str, grant: Grant, shard: Artifact, mallory: Account, release: Release
) -> None:
    """A token cannot be pieced together from two: mallory's revoked grant does not open with
    alice's signature.
    """
    hers = granted(mallory, release, status=Grant.Status.REVOKED)
    theirs = links.url(hers.pk, shard, expires_at=timezone.now() + timedelta(hours=1))
    denied(theirs, Code.REVOKED)
    alices, mallorys = (
        urlsplit(url).path.split("/")[2].split("."),
        urlsplit(theirs).path.split("/")[2].split("."),
    )
    for mixed in (mallorys[:1] + alices[1:], alices[:3] + mallorys[3:], mallorys[:3] + alices[3:]):
        assert mixed not in (alices, mallorys)
        denied(f"/download/{'.'.join(mixed)}/{shard.path}", Code.SIGNATURE_INVALID)


def test_a_grant_for_another_release_opens_nothing(
    shard: Artifact, alice: Account, release: Release
) -> None:
    other = Release.objects.create(
        family=release.family,
        repo_id="meta/llama-13b",
        slug="llama-13b",
        name="LLaMA 13B",
        status="published",
        parameters=1,
        dimension=1,
        heads=1,
        layers=1,
    )
    foreign = granted(alice, other)
    denied(
        links.url(foreign.pk, shard, expires_at=timezone.now() + timedelta(hours=1)),
        Code.SIGNATURE_INVALID,
    )
    with pytest.raises(Refusal) as refused:
        issue_link(shard, grant=foreign, actor=alice)
    assert refused.value.code == Code.NOT_GRANTED


def test_one_link_opens_one_file_and_no_other(url: str) -> None:
    """One wildcard link opened every shard, to anyone who got it."""
    for other in ("params.json", "tokenizer.model", "*", "consolidated.01.pth"):
        denied(url.replace("consolidated.00.pth", other), Code.SIGNATURE_INVALID)


@pytest.mark.parametrize(
    "name",
    [
        "../params.json",
        "..%2fparams.json",
        "%2e%2e/%2e%2e/etc/passwd",
        "consolidated.00.pth/../params.json",
        "/etc/passwd",
        "consolidated.00.pth%00",
        "consolidated.00.pth%00.txt",
        "./consolidated.00.pth",
        "CONSOLIDATED.00.PTH",
        "consolidated.00.pth/",
        "%ff%fe",
        "..\\params.json",
    ],
)
def test_path_traversal_in_the_filename_opens_nothing(url: str, name: str) -> None:
    denied(url.replace("consolidated.00.pth", name), Code.SIGNATURE_INVALID)


@pytest.mark.parametrize("pasted", [".", ",", ")", ">", '"', "'.", ")."])
def test_punctuation_pasted_behind_a_link_does_not_break_it(url: str, pasted: str) -> None:
    assert ask(url + quote(pasted)).status == 200


@MANY
@given(
    position=st.integers(0, 300),
    character=st.sampled_from(string.ascii_letters + string.digits + "-_.~%:=&"),
)
def test_altering_any_character_opens_nothing(url: str, position: int, character: str) -> None:
    path = urlsplit(url).path
    position = len("/download/") + position % (len(path) - len("/download/"))
    altered = path[:position] + character + path[position + 1 :]
    assume(altered != path)
    answer = ask(altered)
    # 404: the slash between token and name is gone
    assert (answer.status, answer.headers["X-Error-Code"]) in (
        (403, "signature_invalid"),
        (404, "not_found"),
    )


@settings(MANY, max_examples=MANY.max_examples // 4)  # each tries four
@given(cut=st.integers(1, 80), added=st.text(string.ascii_letters + ".-_", max_size=3))
def test_a_link_cut_or_lengthened_opens_nothing(url: str, cut: int, added: str) -> None:
    token, name = urlsplit(url).path.split("/")[2:4]
    for altered in (token[:-cut] + added, token + added, added + token, token[cut:] + added):
        if altered not in ("", token):
            denied(f"/download/{altered}/{name}", Code.SIGNATURE_INVALID)


@MANY
@given(token=st.text(max_size=60), filename=st.text(max_size=60))
@example(token="1.1.zzzzzzzzzzzzzzzz", filename="a")
@example(token="..", filename="..")
@example(token="A" * 10_000, filename="x")
def test_no_token_and_no_filename_breaks_the_site(db: None, token: str, filename: str) -> None:
    answer = ask(f"/download/{quote(token, safe='')}/{quote(filename, safe='')}")
    assert answer.status in (403, 404)


def test_links_signed_with_the_last_key_still_open_after_a_change_of_keys(
    url: str, settings: Settings
) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, as long as the first one was, and more"
    assert ask(url).status == 200
    settings.SECRET_KEY_FALLBACKS = []
    denied(url, Code.SIGNATURE_INVALID)


def test_a_signature_of_another_part_of_the_site_opens_nothing(
    grant: Grant, shard: Artifact
) -> None:
    from django.core import signing

    numbers = (grant.pk, shard.pk, int(timezone.now().timestamp()) + 1000)
    value = ".".join(map(signing.b62_encode, numbers))
    token = signing.Signer(sep=".", salt="another", algorithm="sha256").sign(value)
    denied(f"/download/{token}/{shard.path}", Code.SIGNATURE_INVALID)


# ---- giving them out -----------------------------------------------------------------------------


def test_all_links_of_a_release_are_one_event(
    grant: Grant, alice: Account, release: Release
) -> None:
    issued = issue_links(release, actor=alice)
    assert [link.path for link in issued] == [
        "consolidated.00.pth",
        "params.json",
        "tokenizer.model",
    ]
    event = Event.objects.get(verb=Verb.LINK_ISSUED)
    assert (event.actor, event.data["files"], event.subject_id) == (alice, 3, str(grant.pk))
    for link in issued:
        assert len(ask(link.url).body) == link.size


def test_links_live_as_long_as_the_release_says_but_never_longer_than_the_grant(
    grant: Grant, alice: Account, release: Release
) -> None:
    expected = timezone.now() + timedelta(hours=release.link_hours)
    assert abs(issue_links(release, actor=alice)[0].expires_at - expected) < timedelta(seconds=10)
    soon = timezone.now() + timedelta(hours=1)
    Grant.objects.filter(pk=grant.pk).update(ends_at=soon)
    assert issue_links(release, actor=alice)[0].expires_at <= soon


def test_who_has_no_grant_gets_no_link_and_the_denial_is_kept(
    revision: Revision, mallory: Account
) -> None:
    with pytest.raises(Refusal) as refused:
        issue_links(revision.release, actor=mallory)
    assert refused.value.code == Code.NOT_GRANTED
    event = Event.objects.get(verb=Verb.LINK_DENIED)
    assert (event.actor, event.data["code"]) == (mallory, "not_granted")
    assert not Event.objects.filter(verb=Verb.LINK_ISSUED).exists()


def test_a_file_that_is_not_there_is_named(grant: Grant, alice: Account, release: Release) -> None:
    assert len(issue_links(release, actor=alice, paths=["params.json"])) == 1
    with pytest.raises(Refusal, match=r"no file 'x\.pth'"):
        issue_links(release, actor=alice, paths=["params.json", "x.pth"])
