"""Addresses as people and other clients write them: HEAD, another case, `hf_` tokens, pages, git."""

import subprocess
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from access_requests.models import Grant
from access_requests.services import suspend
from distribution.models import Revision
from distribution.services import publish_folder
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from portal.refusals import Refusal
from tests.people import signed_in, with_token

INFO = "/api/models/meta/llama-7b"
CHECK = f"{INFO}/auth-check"
PARAMS = "/meta/llama-7b/resolve/main/params.json"


def refusal_of(address: str, client: Client) -> tuple[int, str, str]:
    answer = client.get(address)
    return answer.status_code, answer.get("X-Error-Code", ""), answer.get("X-Error-Message", "")


# ---- HEAD is the default branch ------------------------------------------------------------------


def test_head_means_the_default_branch_wherever_a_revision_is_named(
    grant: Grant, alice: Account, revision: Revision
) -> None:
    client = with_token(alice, Scope.READ, Scope.DOWNLOAD)
    assert client.get(f"{INFO}/revision/HEAD").json()["sha"] == revision.digest
    assert client.get(f"{INFO}/tree/HEAD").json() == client.get(f"{INFO}/tree/main").json()
    assert client.get(f"{INFO}/commits/HEAD").json()[0]["id"] == revision.digest
    file = client.get(PARAMS.replace("main", "HEAD"))
    assert (file.status_code, file["X-Repo-Commit"]) == (
        client.get(PARAMS).status_code,
        revision.digest,
    )


def test_head_is_no_name_for_a_tag(release: Release, folder: Path) -> None:
    with pytest.raises(Refusal, match="'HEAD' cannot be a tag"):
        publish_folder(folder, repo_id=release.repo_id, actor=None, tag="HEAD")


# ---- a repo's name in any case -------------------------------------------------------------------


@pytest.mark.parametrize("repo", ["Meta/LLaMA-7B", "META/LLAMA-7B"])
def test_a_repo_is_found_whatever_the_case_of_its_name(
    grant: Grant, alice: Account, revision: Revision, repo: str
) -> None:
    client = with_token(alice, Scope.READ, Scope.DOWNLOAD)
    assert client.get(f"/api/models/{repo}").json()["id"] == "meta/llama-7b"
    file = client.get(f"/{repo}/resolve/{revision.digest}/params.json")
    assert (file.status_code, file["X-Repo-Commit"]) == (200, revision.digest)
    plain = client.get("/api/v1/plain/", {"release": repo})
    assert plain.status_code == 200


def test_two_releases_cannot_differ_in_case_alone(release: Release) -> None:
    release.pk, release.repo_id, release.slug = None, "Meta/LLaMA-7B", "another"
    with pytest.raises(IntegrityError), transaction.atomic():
        release.save()


def test_another_case_does_not_show_that_a_private_release_exists(
    grant: Grant, mallory: Account
) -> None:
    Release.objects.update(metadata=Release.Metadata.PRIVATE)
    for client in (Client(), with_token(mallory)):
        private = refusal_of("/api/models/META/Llama-7b", client)
        missing = refusal_of("/api/models/META/Llama-8b", client)
        assert private == (404, "RepoNotFound", missing[2].replace("8b", "7b"))


# ---- a token as the hub writes it ----------------------------------------------------------------


def with_text(text: str) -> Client:
    return Client(headers={"authorization": f"Bearer {text}"})


@pytest.mark.parametrize(
    "address",
    ["/api/whoami-v2", PARAMS, "/api/v1/grants/", "/v1/models", "/api/v1/plain/"],
)
def test_a_token_opens_the_same_with_hf_before_it(
    grant: Grant, alice: Account, address: str
) -> None:
    text = ApiToken.make(alice, name="js", scopes=[str(scope) for scope in Scope])[1]
    plain, prefixed = with_text(text).get(address), with_text(f"hf_{text}").get(address)
    assert plain.status_code == prefixed.status_code
    assert plain.status_code in (200, 302, 404), "what is asked exists, or is not throttled"
    for wrong in (f"hf_hf_{text}", f"HF_{text}", f"hf_{text}x", text.removeprefix("wb_")):
        assert with_text(wrong).get(address).status_code == 401


def test_the_page_of_a_new_token_names_both_forms(alice: Account) -> None:
    page = signed_in(alice).post("/account/tokens/", {"name": "js", "scopes": ["download"]})
    assert "hf_wb_" in page.content.decode()


# ---- auth-check ----------------------------------------------------------------------------------


def test_auth_check_refuses_a_token_that_may_not_download_as_the_file_does(
    grant: Grant, alice: Account, manager: Account
) -> None:
    reads, downloads = with_token(alice, Scope.READ), with_token(alice, Scope.DOWNLOAD)
    assert downloads.get(CHECK).status_code == 200
    refused = refusal_of(CHECK, reads)
    assert refused == refusal_of(PARAMS, reads)
    assert refused[:2] == (403, "GatedRepo")
    assert "lacks the scope `download`" in refused[2]
    suspend(grant.pk, actor=manager, reason="Your report is late.")
    assert refusal_of(CHECK, downloads) == refusal_of(PARAMS, downloads)


def test_auth_check_refuses_others_as_the_file_does(grant: Grant, mallory: Account) -> None:
    for client in (Client(), with_token(mallory, Scope.DOWNLOAD)):
        refused = refusal_of(CHECK, client)
        assert refused == refusal_of(PARAMS, client)
        assert refused[0] in (401, 403)


def test_nobody_may_write_and_strangers_are_asked_who_they_are(
    grant: Grant, alice: Account
) -> None:
    assert refusal_of(f"{CHECK}/write", Client())[:2] == (401, "GatedRepo")
    told = refusal_of(f"{CHECK}/write", with_token(alice, Scope.DOWNLOAD))
    assert told[:2] == (403, "GatedRepo")
    assert "Nothing is uploaded here" in told[2]


# ---- pages ---------------------------------------------------------------------------------------

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    "rest",
    ["", "/", "/tree/main", "/tree/main/evals", "/blob/main/params.json", "/blob/main/nothing.txt"],
)
@pytest.mark.parametrize("repo", ["meta/llama-7b", "Meta/LLaMA-7B", "meta/llama-7b.git"])
def test_a_repos_address_leads_to_the_releases_page(
    revision: Revision, mallory: Account, repo: str, rest: str
) -> None:
    """The page itself is everybody's, and shows each what they may see."""
    for client in (Client(headers=BROWSER), signed_in(mallory), Client()):
        answer = client.get(f"/{repo}{rest}")
        assert (answer.status_code, answer["Location"]) == (302, "/releases/llama-7b/")


@pytest.mark.parametrize("rest", ["", "/", "/tree/main", "/blob/main/params.json"])
def test_an_unknown_repo_is_the_page_of_what_is_not_here(db: None, rest: str) -> None:
    answer = Client(headers=BROWSER).get(f"/meta/llama-9b{rest}")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
    assert "Nothing is here" in answer.content.decode()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/account/login", "/account/login/"),
        ("/account/tokens", "/account/tokens/"),
        ("/applications/new?x=1", None),
        ("/releases/llama-7b", "/releases/llama-7b/"),
    ],
)
def test_other_pages_still_get_the_slash_that_was_left_out(
    release: Release, address: str, place: str | None
) -> None:
    answer = Client(headers=BROWSER).get(address)
    if place is None:
        assert answer.status_code == 404
    else:
        assert (answer.status_code, answer["Location"]) == (301, place)


def test_a_repos_address_takes_no_form(revision: Revision) -> None:
    assert Client(headers=BROWSER).post("/meta/llama-7b").status_code == 405


# ---- git -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("repo", ["meta/llama-7b", "meta/llama-7b.git", "Meta/nothing"])
def test_git_says_that_hf_downloads_the_release(
    live: str, release: Release, tmp_path: Path, repo: str
) -> None:
    done = subprocess.run(
        ["git", "clone", f"{live}/{repo}", "here"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0"},
    )
    assert done.returncode != 0
    assert f"hf download {repo.removesuffix('.git')}" in done.stderr
    assert "remote: " in done.stderr
    assert f"HF_ENDPOINT={live}" in done.stderr
    assert not (tmp_path / "here").exists()
