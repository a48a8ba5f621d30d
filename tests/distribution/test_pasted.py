"""What mail programs, chats and hands do to a link: it still opens, or the refusal says exactly what is wrong."""

import html
from urllib.parse import quote, urlsplit

import pytest
from django.test import Client

from access_requests.models import Grant
from distribution import pasted
from distribution.models import Artifact, Download
from distribution.services import issue_link
from portal.accounts.models import Account
from portal.refusals import Code
from tests.distribution.asking import ask
from tests.distribution.weights import granted


@pytest.fixture
def grant(alice: Account, shard: Artifact) -> Grant:
    return granted(alice, shard.revision.release)


@pytest.fixture
def url(grant: Grant, shard: Artifact, alice: Account) -> str:
    return issue_link(shard, grant=grant, actor=alice).url


def parts(url: str) -> tuple[str, str]:
    token, name = urlsplit(url).path.split("/")[2:]
    return token, name


def refused(path: str) -> str:
    """The line that says why; the link must not open, and the refusal must have its row."""
    before = Download.objects.count()
    answer = ask(path)
    assert (answer.status, answer.headers["X-Error-Code"]) == (403, Code.SIGNATURE_INVALID)
    assert Download.objects.count() == before + 1
    return answer.text


BEHIND = [".", ",", ")", ">", '"', "'", ").", "”", "»", "*", "](", "…", "&amp;", "&gt;", "&quot;."]


@pytest.mark.parametrize("behind", [one for one in BEHIND if one != "]("])
def test_what_a_sentence_or_markup_leaves_behind_a_link_does_not_break_it(
    url: str, behind: str
) -> None:
    assert ask(url + quote(behind)).status == 200


@pytest.mark.parametrize(
    "added", ["?utm_source=mail&amp;utm_medium=x", "?x=1#top", "&amp;utm_source=mail"]
)
def test_a_query_that_a_mailer_added_does_not_break_it(
    url: str, added: str, client: Client
) -> None:
    assert ask(url + quote(added)).status == 200  # encoded into the path
    assert client.get(url + added).status_code == 200  # and as a query


@pytest.mark.parametrize("inside", [" ", "\n", "\r\n  ", "\t", "=\r\n", "\u200b", "\u00ad"])
def test_a_line_break_or_a_space_inside_does_not_break_it(url: str, inside: str) -> None:
    path = urlsplit(url).path
    for at in (len("/download/") + 3, len("/download/") + 30, len(path) - 4, len(path)):
        assert ask(path[:at] + quote(inside) + path[at:]).status == 200, at


def test_percent_encoding_twice_does_not_break_it(url: str) -> None:
    token, name = parts(url)
    once = "".join(f"%{ord(one):02X}" for one in name)
    assert ask(f"/download/{token}/{once}").status == 200
    assert ask(f"/download/{token}/{quote(once)}").status == 200
    assert ask(f"/download/{quote(quote(token + '/' + name, safe=''))}").status == 200
    assert ask(f"/download/{token.replace('.', '%252E')}/{name}").status == 200


def test_nothing_in_a_link_is_changed_by_html(url: str) -> None:
    assert html.escape(url) == url
    assert html.unescape(url) == url


def test_a_link_without_its_end_says_that_the_name_is_missing(url: str, shard: Artifact) -> None:
    token, _ = parts(url)
    for path in (f"/download/{token}", f"/download/{token}/"):
        assert f"the name of the file at its end is missing (/{shard.path})" in refused(path)


def test_a_link_that_was_cut_says_how_much_is_missing(url: str) -> None:
    token, name = parts(url)
    assert "the last 7 characters before the file name are missing" in refused(
        f"/download/{token[:-7]}/{name}"
    )
    assert "2 of 4 pieces: something was cut off" in refused(
        f"/download/{'.'.join(token.split('.')[:2])}/{name}"
    )
    assert "3 characters too many" in refused(f"/download/{token}abc/{name}")


def test_a_link_with_a_changed_character_says_so(url: str) -> None:
    token, name = parts(url)
    other = "A" if token[-5] != "A" else "B"
    assert "a character was changed" in refused(f"/download/{token[:-5]}{other}{token[-4:]}/{name}")
    line = refused(f"/download/{token[:-5]}{quote('é')}{token[-4:]}/{name}")
    assert "characters that no link of ours has (é)" in line
    assert line.count("\n") == 1


def test_the_link_of_another_file_is_named(url: str) -> None:
    token, _ = parts(url)
    assert "it is the link of consolidated.00.pth" in refused(f"/download/{token}/params.json")


def test_a_pasted_link_is_still_asked_for_its_grant(url: str, grant: Grant) -> None:
    Grant.objects.filter(pk=grant.pk).update(status=Grant.Status.REVOKED)
    assert ask(url + "%0A.").headers["X-Error-Code"] == Code.REVOKED


def test_a_very_long_address_is_refused_in_no_time(db: None) -> None:
    assert len(pasted.clean("%25" * 100_000)) <= pasted.MOST
    assert ask("/download/" + "%2525" * 1500).status == 403
