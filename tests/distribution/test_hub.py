"""The hub protocol without its clients: what git says of our hashes, how refusals sound, what pages show.

The clients themselves: tests/conformance/test_hub_*.py.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.test import Client, RequestFactory
from pytest_django import Settings
from rest_framework.exceptions import AuthenticationFailed

from access_requests.models import Grant
from access_requests.services import suspend
from distribution.hub import contents, errors, tree
from distribution.hub.tree import File, files_of
from distribution.models import Revision
from distribution.services import publish
from portal.accounts.models import Account, ApiToken, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.distribution.asking import ask, send_by
from tests.distribution.weights import granted, safetensors
from tests.people import signed_in, with_token

PAGE, FILES = "/releases/llama-7b/", "/api/v1/releases/llama-7b/files/"
LINKS = "/api/v1/releases/llama-7b/links/"


@pytest.fixture
def grant(alice: Account, revision: Revision) -> Grant:
    return granted(alice, revision.release)


# ---- hashes --------------------------------------------------------------------------------------


def test_files_and_folders_have_the_hashes_that_git_gives_them(
    release: Release, folder: Path, tmp_path: Path
) -> None:
    (folder / "evals" / "long").mkdir(parents=True)
    (folder / "evals" / "long" / "a.json").write_text("{}")
    (folder / "evals.json").write_text("{}")
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    files = files_of(release, revision)
    ours = {row["path"]: row["oid"] for row in tree.listing(files, "", recursive=True)}
    assert ours == _as_git_says(tmp_path / "repo", files)
    assert {"evals", "evals/long", "evals/long/a.json", "README.md"} <= set(ours)


def _as_git_says(repo: Path, files: list[File]) -> dict[str, str]:
    """Path → hash, of a real repository with a pointer in the place of each large file."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=repo, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    repo.mkdir()
    git("init", "-q")
    for file in files:
        (repo / file.path).parent.mkdir(parents=True, exist_ok=True)
        (repo / file.path).write_bytes(file.pointer if file.sha256 else file.text)
    git("add", "-A")
    lines = git("ls-tree", "-r", "-t", git("write-tree").strip()).splitlines()
    return {line.split("\t")[1]: line.split()[2] for line in lines}


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "status", "code"), [("5", 429, "quota_exhausted"), ("86400", 403, "GatedRepo")]
)
def test_a_short_wait_is_waited_for_and_a_long_one_is_told(
    seconds: str, status: int, code: str
) -> None:
    refusal = Refusal(
        Code.QUOTA_EXHAUSTED, "Enough for today.", "Tomorrow.", headers={"Retry-After": seconds}
    )
    answer = errors.respond(RequestFactory().get("/"), refusal)
    assert (answer.status_code, answer["X-Error-Code"]) == (status, code)
    assert answer["Retry-After"] == seconds
    assert answer["X-Error-Message"] == "Enough for today. Tomorrow."


def test_a_reason_is_one_line_of_ascii_and_a_warning_too() -> None:
    refusal = Refusal(Code.REVOKED, "Was “revoked”; it\nis sö.", "Ask.", url="/applications/")
    answer = errors.respond(RequestFactory().get("/"), refusal)
    text = 'Was "revoked"; it is s?. Ask. http://testserver/applications/'
    assert answer["X-Error-Message"] == text
    assert answer["X-HF-Warning"] == f'Was "revoked", it is s?; {text}'


def test_a_bad_token_has_no_code_and_the_words_that_the_client_knows() -> None:
    answer = errors.respond(RequestFactory().get("/"), AuthenticationFailed("It expired."))
    assert answer.status_code == 401
    assert answer["X-Error-Message"] == "Invalid credentials in Authorization header"
    assert "X-Error-Code" not in answer


def test_a_fault_of_ours_is_no_refusal() -> None:
    with pytest.raises(ZeroDivisionError):
        errors.respond(RequestFactory().get("/"), ZeroDivisionError())


def test_the_clients_own_id_of_a_request_is_kept(revision: Revision, client: Client) -> None:
    trace = "0b2d5a3e-6f1c-4f57-9a54-2f6a1c0d9e11"
    answer = client.get("/api/models/meta/llama-7b", headers={"x-amzn-trace-id": trace})
    assert answer["X-Request-Id"] == trace


@pytest.mark.parametrize(
    "address",
    [
        "/api/models/gpt2",
        "/api/models/meta/llama-8b/tree/main",
        "/api/datasets/meta/words",
        "/gpt2/resolve/main/config.json",
        "/datasets/meta/words/resolve/main/a.json",
    ],
)
def test_what_is_not_here_is_said_in_the_hubs_words(
    client: Client, revision: Revision, address: str
) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RepoNotFound")


def test_a_session_is_not_asked_for(grant: Grant, alice: Account) -> None:
    """A page of another site cannot fetch a file with the cookies of whoever looks at it."""
    answer = signed_in(alice).get("/meta/llama-7b/resolve/main/params.json")
    assert answer.status_code == 401


@pytest.mark.parametrize("name", ["a\0b", "%2e%2e/x", "x" * 3000, "params.json/", " params.json"])
def test_odd_names_are_not_found(grant: Grant, alice: Account, name: str) -> None:
    for place in (f"/meta/llama-7b/resolve/main/{name}", f"/meta/llama-7b/resolve/{name}/x"):
        answer = with_token(alice).get(place)
        assert answer.status_code == 404
        assert answer["X-Error-Code"] in ("EntryNotFound", "RevisionNotFound")
    assert with_token(alice).get(f"/api/models/meta/{name}").status_code == 404


# ---- pages and the REST face ---------------------------------------------------------------------


def test_the_page_has_the_lines_for_each_program(revision: Revision, alice: Account) -> None:
    page = signed_in(alice).get(PAGE).content.decode().replace("&quot;", '"').replace("&#x27;", "'")
    assert "export HF_ENDPOINT=http://testserver\n" in page
    assert "hf download meta/llama-7b --local-dir llama-7b" in page
    assert "http://testserver/meta/llama-7b/resolve/main/consolidated.00.pth" in page
    assert "wget -c -i -" in page
    assert "aria2c llama-7b.meta4" in page
    assert "from_pretrained(" not in page  # these files are in the original layout alone
    assert "<script>" not in page


def test_private_metadata_are_shown_to_holders_alone(
    grant: Grant, alice: Account, mallory: Account, rita: Account, manager: Account
) -> None:
    sha256 = grant.release.revisions.get().artifacts.first().sha256  # type: ignore[attr-defined]
    Release.objects.update(metadata=Release.Metadata.PRIVATE)
    for knows in (alice, rita):
        assert sha256 in signed_in(knows).get(PAGE).content.decode()
        assert with_token(knows, Scope.READ, Scope.REVIEW).get(FILES).status_code == 200
    assert with_token(rita, Scope.READ).get(FILES).status_code == 404, "a reviewer without `review`"
    for place in (PAGE, f"{PAGE}files/"):
        assert sha256 not in signed_in(mallory).get(place).content.decode()
    assert sha256 not in Client().get(PAGE).content.decode()
    assert with_token(mallory, Scope.READ).get(FILES).status_code == 404
    suspend(grant.pk, actor=manager, reason="Your report is late.")
    answer = with_token(alice, Scope.READ).get(FILES)
    assert (answer.status_code, answer.json()["code"]) == (403, "suspended")


def test_a_manager_makes_metadata_private_in_the_admin(release: Release, manager: Account) -> None:
    client = signed_in(manager)
    place = f"/admin/catalog/release/{release.pk}/change/"
    form = client.get(place).context["adminform"].form
    fields = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    answer = client.post(place, {**fields, "metadata": "private"})
    assert answer.status_code == 302
    release.refresh_from_db()
    assert release.metadata == Release.Metadata.PRIVATE
    event = Event.objects.get(verb=Verb.RELEASE_CHANGED)
    assert event.data["after"] == {"metadata": "private"}


def test_links_come_as_lines_for_programs_that_read_lines(
    grant: Grant, alice: Account, mallory: Account
) -> None:
    lines = with_token(alice).post(
        LINKS, content_type="application/json", headers={"accept": "text/plain"}
    )
    assert lines["Content-Type"] == "text/plain; charset=utf-8"
    addresses = lines.content.decode().splitlines()
    assert [line.rpartition("/")[2] for line in addresses] == [
        "consolidated.00.pth",
        "params.json",
        "tokenizer.model",
    ]
    refused = with_token(mallory).post(
        LINKS, content_type="application/json", headers={"accept": "text/plain"}
    )
    assert refused.status_code == 403
    assert refused["Content-Type"] == "text/plain; charset=utf-8"
    assert refused.content.decode().startswith("not_granted: You have no grant for LLaMA 7B.")


# ---- a store elsewhere ---------------------------------------------------------------------------


@pytest.mark.parametrize("whom", ["s3", "cloudfront"])
@pytest.mark.parametrize("rev", ["main", "commit"])
def test_a_head_is_answered_here_and_a_get_is_redirected_with_the_metadata(
    grant: Grant, alice: Account, revision: Revision, settings: Settings, whom: str, rev: str
) -> None:
    """Old clients take the metadata of a redirect only where its target has them too, which a bucket has not."""
    token = ApiToken.make(alice, name="laptop", scopes=[str(Scope.DOWNLOAD)])[1]
    send_by(whom, settings)
    name = revision.digest if rev == "commit" else rev
    address = f"/meta/llama-7b/resolve/{name}/params.json"
    artifact = revision.artifacts.get(path="params.json")
    answers = {
        method: ask(address, method, authorization=f"Bearer {token}") for method in ("HEAD", "GET")
    }
    assert (answers["HEAD"].status, answers["GET"].status) == (200, 302)
    assert "Location" not in answers["HEAD"].headers
    assert urlsplit(answers["GET"].headers["Location"]).netloc not in ("", "testserver")
    assert answers["HEAD"].headers["Content-Length"] == str(artifact.size)
    for answer in answers.values():
        assert answer.headers["X-Repo-Commit"] == revision.digest
        assert answer.headers["X-Linked-Etag"] == f'"{artifact.sha256}"'
        assert answer.headers["X-Linked-Size"] == str(artifact.size)


# ---- metadata ------------------------------------------------------------------------------------

MODEL = "/api/models/meta/llama-7b"


@pytest.fixture
def with_safetensors(release: Release, folder: Path) -> Revision:
    """LLaMA 7B in both layouts, with a folder."""
    safetensors(folder)
    (folder / "evals").mkdir()
    (folder / "evals" / "boolq.json").write_text("{}")
    return publish(folder, repo_id=release.repo_id, actor=None)


@pytest.mark.parametrize("yes", ["True", "true", "1"])
@pytest.mark.parametrize("no", ["False", "false", "0", ""])
def test_booleans_are_read_as_every_library_writes_them(
    with_safetensors: Revision, client: Client, yes: str, no: str
) -> None:
    def paths(flag: str) -> set[str]:
        rows = client.get(f"{MODEL}/tree/main", {"recursive": flag, "expand": flag}).json()
        assert {"lastCommit" in row for row in rows} == {flag == yes}
        return {row["path"] for row in rows}

    def sizes(flag: str) -> set[bool]:
        answer = client.get(MODEL, {"blobs": flag, "securityStatus": flag}).json()
        return {"size" in row for row in answer["siblings"]}

    def form(flag: str) -> set[bool]:
        body = urlencode({"paths": "params.json", "expand": flag})
        kind = "application/x-www-form-urlencoded"
        rows = client.post(f"{MODEL}/paths-info/main", body, content_type=kind).json()
        return {"lastCommit" in row for row in rows}

    assert paths(yes) - paths(no) == {"evals/boolq.json"}
    assert (sizes(yes), sizes(no)) == ({True}, {False})
    assert (form(yes), form(no)) == ({True}, {False})


@pytest.mark.parametrize(("flag", "expanded"), [(True, True), (False, False), (None, False)])
def test_booleans_of_json_are_booleans(
    revision: Revision, client: Client, flag: bool | None, expanded: bool
) -> None:
    body = {"paths": ["params.json"], "expand": flag}
    (row,) = client.post(f"{MODEL}/paths-info/main", body, content_type="application/json").json()
    assert ("lastCommit" in row) == expanded


def test_the_fields_that_clients_count_on_are_always_there(
    with_safetensors: Revision, client: Client
) -> None:
    info = client.get(MODEL).json()
    (listed,) = client.get("/api/models", {"search": "7b"}).json()
    for answer in (info, listed):
        assert (answer["downloads"], answer["likes"]) == (0, 0)
        assert len(answer["_id"]) == 24
        assert answer["id"] == "meta/llama-7b"
    assert info["config"] == {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    assert info["safetensors"] == {"parameters": {"BF16": 2088}, "total": 2088}


def test_a_release_without_safetensors_has_no_such_field(
    revision: Revision, client: Client
) -> None:
    assert not {"config", "safetensors"} & set(client.get(MODEL).json())


def test_a_store_out_of_reach_costs_those_fields_alone(
    with_safetensors: Revision, client: Client, store: Path
) -> None:
    for artifact in with_safetensors.artifacts.all():
        (store / artifact.store_key).write_bytes(b"")
    contents.public_config.cache_clear()
    contents.parameter_counts.cache_clear()
    answer = client.get(MODEL)
    assert answer.status_code == 200
    assert not {"config", "safetensors"} & set(answer.json())


def test_an_expanded_answer_has_the_fields_that_were_asked_for(
    with_safetensors: Revision, client: Client
) -> None:
    query = {"expand": ["safetensors", "downloads", "siblings", "gguf"]}
    asked = {"_id", "id", "safetensors", "downloads"}
    assert set(client.get(MODEL, query).json()) == {*asked, "siblings"}
    assert set(client.get(f"{MODEL}/revision/main", query).json()) == {*asked, "siblings"}
    (listed,) = client.get("/api/models", query).json()
    assert set(listed) == {*asked, "siblings"}


def test_a_list_has_the_details_that_a_flag_asks_for(
    with_safetensors: Revision, client: Client
) -> None:
    (plain,) = client.get("/api/models").json()
    (full,) = client.get("/api/models", {"full": "True", "config": "True"}).json()
    assert set(full) - set(plain) == {"siblings", "createdAt", "config"}


def test_a_list_says_of_private_metadata_no_more_than_that_they_are_there(
    with_safetensors: Revision, alice: Account, mallory: Account, manager: Account
) -> None:
    """alice holds a grant that is suspended: she knows of the release, and may not read its metadata."""
    grant = granted(alice, with_safetensors.release)
    Release.objects.update(metadata=Release.Metadata.PRIVATE)

    def listed(account: Account) -> list[dict[str, Any]]:
        rows = with_token(account, Scope.READ).get("/api/models", {"full": "true"}).json()
        assert isinstance(rows, list)
        return rows

    assert "siblings" in listed(alice)[0]
    assert listed(mallory) == []
    suspend(grant.pk, actor=manager, reason="Your report is late.")
    (row,) = listed(alice)
    assert not {"sha", "siblings", "lastModified"} & set(row)


# ---- many paths in one call ----------------------------------------------------------------------

PATHS_INFO = "/api/models/meta/llama-7b/paths-info/main"


def test_equal_paths_are_answered_once_and_cost_no_query_each(
    revision: Revision, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    paths = ["params.json", "consolidated.00.pth", "params.json/"] * 300
    with django_assert_max_num_queries(8):
        rows = Client().post(
            PATHS_INFO, {"paths": paths, "expand": True}, content_type="application/json"
        )
    assert [row["path"] for row in rows.json()] == ["params.json", "consolidated.00.pth"]
    assert all(row["lastCommit"]["id"] == revision.digest for row in rows.json())


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_more_paths_than_one_call_may_name_are_refused_in_the_hubs_words(
    revision: Revision, kind: str
) -> None:
    def ask(count: int) -> Any:
        paths = {"paths": [f"file-{number}" for number in range(count)]}
        body = json.dumps(paths) if kind.endswith("json") else urlencode(paths, doseq=True)
        return Client().post(PATHS_INFO, body, content_type=kind)

    assert ask(1_000).json() == []
    refused = ask(1_001)
    assert (refused.status_code, refused["X-Error-Code"]) == (400, "too_long")
    assert "1,000" in refused["X-Error-Message"]
