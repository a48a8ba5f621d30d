"""The files page, the REST face, the admin and the tags."""

import re

import pytest
from django.template import Context, Template
from django.test import Client

from access_requests.models import Grant
from distribution.models import Download, Revision
from distribution.services import issue_links, take_down, withdraw
from distribution.sizes import exact, human
from portal.accounts.models import Account, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from tests.distribution.asking import ask
from tests.distribution.weights import granted
from tests.people import signed_in, with_token

FILES = "/releases/llama-7b/files/"
API_FILES, API_LINKS = "/api/v1/releases/llama-7b/files/", "/api/v1/releases/llama-7b/links/"


@pytest.fixture
def grant(alice: Account, revision: Revision) -> Grant:
    return granted(alice, revision.release)


# ---- the page ------------------------------------------------------------------------------------


def test_the_page_lists_shards_with_size_hash_link_and_curl_line(
    grant: Grant, revision: Revision, alice: Account
) -> None:
    page = signed_in(alice).get(FILES).content.decode()
    for artifact in revision.artifacts.all():
        assert artifact.sha256 in page
        assert exact(artifact.size) in page
        (url,) = set(
            re.findall(
                rf'href="(http://testserver/download/[^"]+/{re.escape(artifact.path)})"', page
            )
        )
        assert (
            f"curl -fL -C - -o {artifact.path} &#x27;{url}&#x27;" in page
            or f"curl -fL -C - -o {artifact.path} '{url}'" in page
        )
        assert len(ask(url).body) == artifact.size
    assert "/releases/llama-7b/download.sh" in page
    assert Event.objects.filter(verb=Verb.LINK_ISSUED).count() == 1


def test_the_weights_stand_before_the_small_files(grant: Grant, alice: Account) -> None:
    page = signed_in(alice).get(FILES).content.decode()
    names = re.findall(r'aria-label="Download ([^"]+)"', page)
    assert names == ["consolidated.00.pth", "params.json", "tokenizer.model"]
    assert page.index("<h2>Weights</h2>") < page.index("<h2>Other files</h2>")


def test_the_page_says_when_the_links_expire_and_is_not_cached(
    grant: Grant, alice: Account
) -> None:
    answer = signed_in(alice).get(FILES)
    assert "They open until" in answer.content.decode()
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_who_has_no_grant_sees_the_files_the_cause_and_the_next_step(
    grant: Grant, mallory: Account, revision: Revision
) -> None:
    answer = signed_in(mallory).get(FILES)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "You have no grant" in page
    assert 'class="button"' in page
    assert revision.artifacts.first().sha256 in page
    assert "/download/" not in page.replace("/download.sh", "")
    assert Event.objects.get(verb=Verb.LINK_DENIED).actor == mallory


def test_a_withdrawn_release_shows_why_and_no_files(
    grant: Grant, alice: Account, revision: Revision
) -> None:
    withdraw(revision.release_id, actor=None, reason="Wrong weights.")
    page = signed_in(alice).get(FILES).content.decode()
    assert "withdrawn" in page
    assert revision.artifacts.first().sha256 not in page


def test_only_an_announced_release_invites_to_apply_before_there_are_files(
    release: Release, mallory: Account
) -> None:
    def page() -> str:
        return signed_in(mallory).get(release.get_absolute_url()).content.decode()

    assert "You can apply already" in page()
    withdraw(release.pk, actor=None, reason="Wrong weights.")
    assert "apply already" not in page()
    assert "you can&#x27;t apply for it" in page() or "you can't apply for it" in page()
    assert "Withdrawn" in page()


def test_the_page_of_a_release_whose_files_were_taken_down_says_so(
    revision: Revision, mallory: Account
) -> None:
    take_down(revision.pk, actor=None, reason="A shard was damaged.")
    page = signed_in(mallory).get(revision.release.get_absolute_url()).content.decode()
    assert "was taken down: A shard was damaged." in page
    assert "for those who hold a grant" not in page


def test_an_announced_release_says_that_nothing_is_published(
    release: Release, alice: Account
) -> None:
    assert "not published" in signed_in(alice).get(FILES).content.decode()


def test_a_stranger_is_asked_to_sign_in(revision: Revision, client: Client) -> None:
    answer = client.get(FILES)
    assert answer.status_code == 302
    assert "/login/" in answer.headers["Location"]


def test_an_unknown_release_is_404(alice: Account) -> None:
    assert signed_in(alice).get("/releases/unknown/files/").status_code == 404


def test_the_page_keeps_to_the_policy_of_the_site(grant: Grant, alice: Account) -> None:
    page = signed_in(alice).get(FILES).content.decode()
    assert "style=" not in page
    assert not re.search(r"\son\w+=", page)


# ---- REST ----------------------------------------------------------------------------------------


def test_the_api_lists_files(revision: Revision, mallory: Account) -> None:
    body = with_token(mallory, Scope.READ).get(API_FILES).json()
    assert body["count"] == 3
    assert body["results"][0].keys() == {"path", "size", "sha256"}


def test_the_api_gives_links_that_open(grant: Grant, alice: Account) -> None:
    links = (
        with_token(alice, Scope.DOWNLOAD).post(API_LINKS, content_type="application/json").json()
    )
    assert [link.keys() for link in links] == [{"path", "url", "expires_at", "size", "sha256"}] * 3
    for link in links:
        assert len(ask(link["url"]).body) == link["size"]
    one = (
        with_token(alice)
        .post(API_LINKS, {"paths": ["params.json"]}, content_type="application/json")
        .json()
    )
    assert [link["path"] for link in one] == ["params.json"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"paths": ["nope"]}, 404, "not_found"),
        ({"paths": []}, 400, "invalid"),
        ({"paths": "x"}, 400, "invalid"),
        ({"paths": [{}]}, 400, "invalid"),
        ([], 400, "invalid"),
    ],
)
def test_the_api_refuses_what_does_not_fit(
    grant: Grant, alice: Account, body: object, status: int, code: str
) -> None:
    answer = with_token(alice).post(API_LINKS, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_api_gives_no_link_without_grant_scope_or_token(
    grant: Grant, alice: Account, mallory: Account
) -> None:
    for client, status, code in (
        (with_token(mallory), 403, "not_granted"),
        (with_token(alice, Scope.READ), 403, "scope_missing"),
        (Client(), 401, "not_signed_in"),
    ):
        answer = client.post(API_LINKS, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Event.objects.filter(verb=Verb.LINK_ISSUED).exists()
    assert Event.objects.filter(verb=Verb.LINK_DENIED).count() == 1


def test_the_api_knows_no_files_of_an_unpublished_or_unknown_release(
    release: Release, alice: Account
) -> None:
    assert with_token(alice).get(API_FILES).json()["code"] == "not_published"
    assert with_token(alice).get("/api/v1/releases/unknown/files/").status_code == 404


# ---- the admin -----------------------------------------------------------------------------------

ADMIN = ["/admin/distribution/download/", "/admin/distribution/revision/"]


@pytest.mark.parametrize("path", ADMIN)
def test_managers_read_revisions_and_downloads_and_nobody_changes_them(
    grant: Grant, alice: Account, rita: Account, manager: Account, path: str
) -> None:
    ask(issue_links(grant.release, actor=alice)[0].url)
    row = Download.objects.get() if "download" in path else Revision.objects.get()
    seen = signed_in(manager)
    assert seen.get(path).status_code == 200
    assert seen.get(f"{path}?q=alice").status_code == 200
    assert seen.get(f"{path}{row.pk}/change/").status_code == 200
    assert seen.get(f"{path}add/").status_code == 403
    assert seen.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert signed_in(rita).get(path).status_code == 403
    assert signed_in(alice).get(path).status_code == 302


def test_downloads_are_found_by_the_address_of_the_person(
    grant: Grant, alice: Account, manager: Account
) -> None:
    ask(issue_links(grant.release, actor=alice)[0].url)
    ask("/download/x/y")
    page = signed_in(manager).get("/admin/distribution/download/?q=alice@lab.test").content.decode()
    rows = page.split("<tbody", 1)[1]
    assert "alice@lab.test" in rows
    assert "unknown" not in rows


# ---- tags ----------------------------------------------------------------------------------------


def test_the_tag_gives_the_files_or_nothing(revision: Revision) -> None:
    template = Template(
        "{% load files %}{% release_files release as files %}{% for f in files %}{{ f.path }} "
        "{% endfor %}"
    )
    assert (
        template.render(Context({"release": revision.release}))
        == "consolidated.00.pth params.json tokenizer.model "
    )
    revision.release.status = Release.Status.ANNOUNCED
    assert template.render(Context({"release": revision.release})) == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (13_476_839_424, "13.5 GB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert human(size) == text
