"""The requests that clients of the hub sent, sent again as each client sends them.

tests/clients/recorded/ has them by client; tests/conformance/test_hub_versions.py records those of huggingface_hub,
test_huggingface_js.py those of @huggingface/hub. Those of hf-hub for Rust are written from its source.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.test import AsyncClient

from distribution.hub.tree import File
from distribution.services import publish_folder
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from tests.clients import recording
from tests.clients.recording import COMMIT, Client, Request
from tests.conformance.conftest import both_layouts as both_layouts
from tests.distribution.weights import granted

REPO = "meta/llama-7b"
NESTED = "evals/boolq.json"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """The release that the requests are about, and the tokens of the people who send them."""

    commit: str
    folder: Path
    tokens: dict[str, str]

    def send(self, client: Client, request: Request) -> list[Answer]:
        """Sends it as this client does: it goes where it is led, with the token or without. All but redirects."""
        answers = [self._once(client, request, request.path, self.tokens.get(request.by))]
        while place := _next_address(client, answers[-1]):
            token = self.tokens.get(request.by) if client.keeps_token else None
            answers.append(self._once(client, request, place, token))
            assert len(answers) < 5
        return [answer for answer in answers if not 300 <= answer.status < 400]

    def _once(self, client: Client, request: Request, path: str, token: str | None) -> Answer:
        headers = {"user-agent": client.user_agent, **dict(request.headers)}
        if token:
            headers["authorization"] = f"Bearer {token}"
        body = request.body.replace(COMMIT, self.commit).encode()
        return _send(request.method, path.replace(COMMIT, self.commit), headers, body)


def _next_address(client: Client, answer: Answer) -> str:
    """On this site; "" where the client stays."""
    place = urlsplit(answer.headers.get("Location", ""))
    is_followed = 300 <= answer.status < 400 or client.follows_location
    return place.path if is_followed and place.netloc in ("", "testserver") else ""


@async_to_sync
async def _send(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    response: HttpResponse = await AsyncClient().generic(
        method, path, body, headers.pop("content-type", ""), headers=headers
    )
    parts = [part async for part in response] if response.streaming else [response.content]
    return Answer(response.status_code, dict(response.headers), b"".join(parts))


@pytest.fixture
def site(release: Release, alice: Account, mallory: Account, both_layouts: Path) -> Site:
    """As the requests were recorded: LLaMA 7B in both layouts, tagged v1. alice holds a grant."""
    revision = publish_folder(both_layouts, repo_id=REPO, actor=None, tag="v1").revision
    release.refresh_from_db()
    granted(alice, release)
    scopes = [str(Scope.READ), str(Scope.DOWNLOAD)]
    tokens = {
        name: ApiToken.make(account, name="laptop", scopes=scopes)[1]
        for name, account in (("alice", alice), ("mallory", mallory))
    }
    return Site(revision.digest, both_layouts, {**tokens, "stranger": "wb_of-nobody"})


@pytest.mark.parametrize("file", recording.names())
def test_each_request_is_answered_as_its_client_needs(file: str, site: Site) -> None:
    client, requests = recording.load(file)
    assert {"alice", "mallory", "nobody"} <= {request.by for request in requests}
    for request in requests:
        for answer in site.send(client, request):
            where = f"{client.name}: {request}"
            assert answer.status == request.status, where
            try:
                _check(site, request, answer)
            except (AssertionError, KeyError, TypeError) as error:
                raise AssertionError(f"{where}: {error!r}, in {answer}"[:2000]) from error


def _check(site: Site, request: Request, answer: Answer) -> None:
    if answer.status >= 400:
        return _check_refusal(request, answer)
    path = urlsplit(request.path).path
    for pattern, check in CHECKS.items():
        if re.fullmatch(pattern, path):
            return check(site, request, answer)
    raise AssertionError("no check is written for this address")


def _check_refusal(request: Request, answer: Answer) -> None:
    assert answer.headers["X-Error-Message"]
    if request.by == "stranger":
        assert answer.headers["X-Error-Message"] == "Invalid credentials in Authorization header"
        return
    codes = {401: "GatedRepo", 403: "GatedRepo", 404: "(Repo|Revision|Entry)NotFound"}
    assert re.fullmatch(codes[answer.status], answer.headers["X-Error-Code"])


def _check_file(site: Site, request: Request, answer: Answer) -> None:
    assert answer.headers["X-Repo-Commit"] == site.commit
    assert re.fullmatch(r'"([0-9a-f]{40}|[0-9a-f]{64})"', answer.headers["ETag"])
    assert "Content-Encoding" not in answer.headers
    published = site.folder / urlsplit(request.path).path.split("/", 5)[-1]
    if not published.exists():  # README.md, which the site writes
        return
    content = published.read_bytes()
    file = File(published.name, len(content), hashlib.sha256(content).hexdigest())
    if "/raw/" in request.path and file.is_large:
        content = file.pointer
    if answer.status == 206:
        first, last, size = re.fullmatch(  # type: ignore[union-attr]
            r"bytes (\d+)-(\d+)/(\d+)", answer.headers["Content-Range"]
        ).groups()
        assert int(size) == len(content)
        content = content[int(first) : int(last) + 1]
    assert int(answer.headers["Content-Length"]) == len(content)
    if request.method == "GET":
        assert answer.body == content


def _check_info(site: Site, request: Request, answer: Answer) -> None:
    fields, query = answer.json(), _query(request)
    assert (fields["id"], len(fields["_id"])) == (REPO, 24)
    if expand := query.get("expand"):
        assert set(fields) == {"_id", "id", *expand}
        return
    _check_model(fields)
    assert fields["sha"] == site.commit
    assert fields["lastModified"].endswith("Z")
    assert fields["safetensors"]["total"] == sum(fields["safetensors"]["parameters"].values())
    assert fields["config"]["model_type"] == "llama"
    rows = {row["rfilename"]: row for row in fields["siblings"]}
    assert NESTED in rows
    if _is_true(query, "blobs"):
        assert rows[NESTED]["size"] == (site.folder / NESTED).stat().st_size
        assert {"sha256", "size", "pointerSize"} <= set(rows[NESTED]["lfs"])


def _check_model(fields: dict[str, Any]) -> None:
    """huggingface_hub up to 0.23 reads these without asking whether they are there."""
    assert isinstance(fields["private"], bool)
    assert isinstance(fields["tags"], list)
    assert isinstance(fields["downloads"], int)
    assert isinstance(fields["likes"], int)


def _check_list(site: Site, request: Request, answer: Answer) -> None:
    rows = answer.json()
    assert [row["id"] for row in rows] == [REPO]
    if expand := _query(request).get("expand"):
        assert set(rows[0]) == {"_id", "id", *expand}
        return
    _check_model(rows[0])
    assert ("siblings" in rows[0]) == _is_true(_query(request), "full")


def _check_tree(site: Site, request: Request, answer: Answer) -> None:
    query = _query(request)
    rows = _check_entries(site, answer, expand=_is_true(query, "expand"))
    in_root = "/tree/" in request.path and urlsplit(request.path).path.count("/") == 6
    if in_root:
        assert (NESTED in rows) == _is_true(query, "recursive")


def _check_paths(site: Site, request: Request, answer: Answer) -> None:
    if dict(request.headers)["content-type"] == "application/json":
        body = json.loads(request.body)
    else:
        body = {name: values[0] for name, values in parse_qs(request.body).items()}
    _check_entries(site, answer, expand=str(body.get("expand")).lower() == "true")


def _check_entries(site: Site, answer: Answer, *, expand: bool) -> set[str]:
    rows = answer.json()
    assert rows
    for row in rows:
        assert row["type"] in ("file", "directory")
        assert isinstance(row["size"], int)
        assert re.fullmatch("[0-9a-f]{40}", row["oid"])
        assert ("lastCommit" in row) == expand
        if expand:
            assert row["lastCommit"]["id"] == site.commit
            assert row["lastCommit"]["title"]
            assert row["lastCommit"]["date"].endswith("Z")
    return {row["path"] for row in rows}


def _check_refs(site: Site, request: Request, answer: Answer) -> None:
    refs = answer.json()
    for kind, name in (("branches", "main"), ("tags", "v1")):
        (row,) = refs[kind]
        assert (row["name"], row["targetCommit"]) == (name, site.commit)
        assert row["ref"].endswith(name)
    assert refs["converts"] == []


def _check_commits(site: Site, request: Request, answer: Answer) -> None:
    (row,) = answer.json()
    assert answer.headers["X-Total-Count"] == "1"
    assert row["id"] == site.commit
    assert {"title", "message", "date", "authors"} <= set(row)


def _check_whoami(site: Site, request: Request, answer: Answer) -> None:
    who = answer.json()
    assert who["name"]
    assert who["orgs"] == []
    assert who["auth"]["accessToken"]["role"] == "read"


def _check_any(site: Site, request: Request, answer: Answer) -> None:
    assert isinstance(answer.json(), dict)


def _query(request: Request) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.path).query)


def _is_true(query: dict[str, list[str]], name: str) -> bool:
    return query.get(name, [""])[0].lower() in ("true", "1")


MODEL = f"/api/models/{REPO}"
CHECKS: dict[str, Callable[[Site, Request, Answer], None]] = {
    f"/{REPO}/(resolve|raw)/[^/]+/.+": _check_file,
    "/api/models": _check_list,
    MODEL: _check_info,
    f"{MODEL}/revision/.+": _check_info,
    f"{MODEL}/tree/.+": _check_tree,
    f"{MODEL}/paths-info/.+": _check_paths,
    f"{MODEL}/refs": _check_refs,
    f"{MODEL}/commits/.+": _check_commits,
    "/api/whoami-v2": _check_whoami,
    "/api/agent-harnesses": _check_any,
    f"{MODEL}/auth-check": _check_any,
}
