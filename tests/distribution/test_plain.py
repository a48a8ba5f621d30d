"""The endpoint that the script reads: lines of text, the same checks as everywhere, refusals in one line."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from access_requests.models import Grant, Tier
from distribution import selectors
from distribution.checkpoints.layouts import layouts_of
from distribution.models import Revision
from distribution.script import keys
from distribution.script.plain import layout_of
from distribution.services import withdraw
from portal.accounts.models import Account, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from tests.distribution.asking import ask
from tests.distribution.scripting import another
from tests.distribution.weights import granted
from tests.people import signed_in, with_token

PLAIN = "/api/v1/plain/"


@pytest.fixture
def grant(alice: Account, revision: Revision) -> Grant:
    return granted(alice, revision.release)


def with_key(grant: Grant) -> Client:
    return Client(headers={"authorization": f"Bearer {keys.make(grant)}"})


def links(client: Client, *paths: str, release: str = "llama-7b", revision: str = "main"):
    asked = {"release": release, "revision": revision, "paths": "\n".join(paths)}
    return client.post(PLAIN, urlencode(asked), content_type="application/x-www-form-urlencoded")


def test_the_lines_hold_what_the_manifest_holds(grant: Grant, revision: Revision) -> None:
    answer = with_key(grant).get(PLAIN, {"release": "llama-7b"})
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-store"
    lines = answer.text.splitlines()
    assert (lines[0], lines[-1]) == ("weighbridge-plain/1", "end")
    assert f"revision {revision.digest}" in lines
    for entry in selectors.entries(revision):
        place = lines.index(
            f"file {entry.sha256} {entry.size} {layout_of(entry.path, {'original'})} {entry.path}"
        )
        assert lines[place + 1 : place + 1 + len(entry.chunks)] == [
            f"chunk {chunk}" for chunk in entry.chunks
        ]


@pytest.mark.parametrize(
    ("path", "layout"),
    [
        ("consolidated.00.pth", "original"),
        ("params.json", "original"),
        ("original/tokenizer.model", "original"),
        ("model-00001-of-00002.safetensors", "safetensors"),
        ("model.safetensors.index.json", "safetensors"),
        ("config.json", "safetensors"),
        ("tokenizer.model", "both"),
        ("README.md", "both"),
        ("originals.txt", "both"),
    ],
)
def test_each_file_belongs_to_a_layout_or_to_both(path: str, layout: str) -> None:
    assert layout_of(path, {"original", "safetensors"}) == layout
    assert layout_of(path, set()) == "both"


def test_a_layout_is_there_where_its_weights_are() -> None:
    assert layouts_of(["consolidated.00.pth", "tokenizer.json"]) == {"original"}
    assert layout_of("tokenizer.json", {"original"}) == "both"


def test_links_come_in_the_order_of_the_names_and_open(grant: Grant, revision: Revision) -> None:
    answer = links(with_key(grant), "tokenizer.model", "params.json")
    first, second = re.findall(r"^link (\S+)$", answer.text, re.M)
    assert first.endswith("/tokenizer.model")
    assert second.endswith("/params.json")
    assert ask(second).status == 200
    assert Event.objects.get(verb=Verb.LINK_ISSUED).data["files"] == 2


def test_the_list_names_what_can_be_had(
    grant: Grant, revision: Revision, alice: Account, mallory: Account
) -> None:
    another(revision.release, "not-published")
    size = sum(entry.size for entry in selectors.entries(revision))
    mine = with_token(alice, Scope.DOWNLOAD).get(PLAIN).text
    assert f"release llama-7b {size} 3 meta/llama-7b\n" in mine
    assert mine.count("release ") == 1
    assert "release " not in with_token(mallory, Scope.DOWNLOAD).get(PLAIN).text
    assert "release llama-7b" in with_key(grant).get(PLAIN).text


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        ("nobody", 401, "not_signed_in"),
        ("unknown token", 401, "not_signed_in"),
        ("altered key", 401, "not_signed_in"),
        ("wrong scope", 403, "scope_missing"),
        ("mallory", 403, "not_granted"),
        ("mallory in the browser", 403, "not_granted"),
    ],
)
def test_who_may_not_reads_why_in_one_line(
    grant: Grant, alice: Account, mallory: Account, method: str, who: str, status: int, code: str
) -> None:
    client = {
        "nobody": Client(),
        "unknown token": Client(headers={"authorization": "Bearer wb_x"}),
        "altered key": Client(headers={"authorization": f"Bearer {keys.make(grant)}x"}),
        "wrong scope": with_token(alice, Scope.READ),
        "mallory": with_token(mallory),
        "mallory in the browser": signed_in(mallory),
    }[who]
    answer = (
        client.get(PLAIN, {"release": "llama-7b"})
        if method == "get"
        else links(client, "params.json")
    )
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (status, code)
    assert re.fullmatch(rf"{code}: .+ \[request \w+\]\n", answer.text)
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_key_opens_no_other_door(grant: Grant) -> None:
    """Not the REST face, not a page, not a run."""
    client = with_key(grant)
    for path in ("grants/", "runs/", "releases/llama-7b/files/"):
        assert client.get(f"/api/v1/{path}").status_code == 401
    assert client.post("/api/v1/releases/llama-7b/links/").status_code == 401
    assert client.get("/releases/llama-7b/files/").status_code == 302


def test_a_key_opens_no_other_release_of_the_same_person(
    grant: Grant, alice: Account, revision: Revision
) -> None:
    other = another(revision.release, "other")
    Release.objects.filter(pk=other.pk).update(status=Release.Status.PUBLISHED)
    granted(alice, other)
    client = with_key(grant)
    assert client.get(PLAIN, {"release": "other"}).headers["X-Error-Code"] == "not_granted"
    assert links(client, "params.json", release="other").headers["X-Error-Code"] == "not_granted"
    assert "other" not in client.get(PLAIN).text


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": Grant.Status.REVOKED, "status_reason": "Why."}, "revoked"),
        ({"status": Grant.Status.SUSPENDED, "status_reason": "Why."}, "suspended"),
        ({"ends_at": timezone.now() - timedelta(minutes=1)}, "expired"),
        ({"tier": Tier.TRY}, "tier_too_low"),
    ],
)
def test_the_grant_is_asked_at_each_use_of_a_key(
    grant: Grant, alice: Account, change: dict[str, object], code: str
) -> None:
    """Of this very grant: another that the person holds does not help a key on."""
    client = with_key(grant)
    granted(alice, grant.release)
    Grant.objects.filter(pk=grant.pk).update(**change)
    assert client.get(PLAIN, {"release": "llama-7b"}).headers["X-Error-Code"] == code
    assert links(client, "params.json").headers["X-Error-Code"] == code
    denied = Event.objects.get(verb=Verb.LINK_DENIED)
    assert (denied.actor, denied.data["code"]) == (alice, code)
    assert with_token(alice, Scope.DOWNLOAD).get(PLAIN, {"release": "llama-7b"}).status_code == 200


def test_a_key_ends_with_its_time_and_never_after_its_grant(
    grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    week = timedelta(hours=7 * grant.release.link_hours)
    assert abs(keys.until(grant) - timezone.now() - week) < timedelta(seconds=5)
    grant.ends_at = timezone.now() + timedelta(hours=1)
    assert keys.until(grant) <= grant.ends_at
    monkeypatch.setattr(keys, "LINK_LIVES", -1)
    answer = with_key(grant).get(PLAIN)
    assert answer.headers["X-Error-Code"] == "expired"
    assert "Fetch the script again at " in answer.text


def test_keys_outlive_a_rotation_of_the_secret(grant: Grant, settings: Settings) -> None:
    client = with_key(grant)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret, for tests alone, long enough"
    assert client.get(PLAIN).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get(PLAIN).status_code == 401


def test_a_link_is_no_key_and_a_key_no_link(grant: Grant, revision: Revision) -> None:
    (url,) = re.findall(r"^link (\S+)$", links(with_key(grant), "params.json").text, re.M)
    token = url.split("/")[-2]
    assert Client(headers={"authorization": f"Bearer wbs_{token}"}).get(PLAIN).status_code == 401
    key = keys.make(grant).removeprefix(keys.PREFIX)
    assert ask(f"/download/{key}/params.json").status == 403


def test_what_does_not_fit_is_said(grant: Grant, revision: Revision) -> None:
    client = with_key(grant)
    assert links(client, "nope").headers["X-Error-Code"] == "not_found"
    assert links(client).headers["X-Error-Code"] == "invalid"
    assert links(client, "params.json", revision="v9").headers["X-Error-Code"] == "not_found"
    assert client.get(PLAIN, {"release": "unknown"}).status_code == 404
    assert links(client, "params.json", "../../etc/passwd").status_code == 404
    withdraw(revision.release_id, actor=None, reason="Wrong weights.")
    assert client.get(PLAIN, {"release": "llama-7b"}).headers["X-Error-Code"] == "withdrawn"


def test_more_names_than_one_call_may_have_are_refused_in_one_line(
    grant: Grant, alice: Account
) -> None:
    asked = {"release": "llama-7b", "paths": "params.json\n" * 10_001}
    answer = with_token(alice).post(
        "/api/v1/plain/", urlencode(asked), content_type="application/x-www-form-urlencoded"
    )
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "too_long")
    assert "10,001" in answer.text
