"""What auditors see: the list, the seals, proofs and exports; and what others do not."""

import csv
import json
import re
from collections.abc import Iterable

import pytest
from django.test import Client

from portal.accounts.models import Account, Scope
from portal.accounts.roles import Role
from portal.audit import exporting, keys, sealing, services
from portal.audit.models import Event, Verb
from tests.people import person, signed_in, with_token

LIST = "/admin/audit/event/"


@pytest.fixture
def auditor(db: None) -> Account:
    return person("audrey", Role.AUDITOR)


@pytest.fixture
def ids(alice: Account, rita: Account) -> list[int]:
    """Four events; the last one waits for its seal."""
    sealing.seal_waiting()
    made = [
        services.record(Verb.TOKEN_CREATED, alice, actor=alice, scopes=["read", 'a "b", c']).pk,
        services.record(Verb.TOKEN_REVOKED, alice, actor=alice).pk,
        services.record(Verb.TOKEN_CREATED, rita, actor=rita).pk,
    ]
    sealing.seal_waiting()
    return [*made, services.record(Verb.TOKEN_CREATED, rita, actor=None).pk]


def body(response: object) -> str:
    return b"".join(response).decode()  # type: ignore[call-overload]


def events_of(lines: str) -> list[int]:
    return [json.loads(line)["id"] for line in lines.splitlines()]


def addresses(ids: Iterable[int]) -> list[str]:
    first = next(iter(ids))
    return [
        LIST,
        f"{LIST}{first}/change/",
        f"{LIST}{first}/proof/",
        f"{LIST}export/csv/",
        f"{LIST}export/jsonl/",
        "/admin/audit/seal/",
        "/admin/audit/seal/1/change/",
    ]


def test_only_auditors_open_the_record(
    ids: list[int], auditor: Account, rita: Account, mallory: Account, client: Client
) -> None:
    for address in addresses(ids):
        assert signed_in(auditor).get(address).status_code == 200, address
        assert signed_in(rita).get(address).status_code in (403, 404), address
        assert signed_in(mallory).get(address).status_code in (302, 403, 404), address
        assert client.get(address).status_code == 302, address


def test_nobody_changes_the_record_in_the_admin(ids: list[int], auditor: Account) -> None:
    browser = signed_in(auditor)
    for address in (f"{LIST}add/", f"{LIST}{ids[0]}/delete/", "/admin/audit/seal/1/delete/"):
        assert browser.get(address).status_code == 403
    assert browser.post(f"{LIST}{ids[0]}/change/", {"verb": "x"}).status_code == 403


def test_an_auditor_walks_from_the_home_page_to_a_proof(ids: list[int], auditor: Account) -> None:
    browser = signed_in(auditor)
    assert browser.get("/admin/", follow=True).redirect_chain[-1][0] == LIST
    event = browser.get(f"{LIST}{ids[0]}/change/").text
    link = re.search(r'href="(/admin/audit/event/\d+/proof/)"', event)
    assert link
    proof = browser.get(link[1]).json()
    assert proof["event"]["id"] == ids[0]
    assert proof["public_key"] == keys.public_key()
    assert "/admin/audit/seal/" in browser.get(LIST).text


def test_an_event_without_a_seal_has_no_proof_yet(ids: list[int], auditor: Account) -> None:
    browser = signed_in(auditor)
    assert "no seal has it yet" in browser.get(f"{LIST}{ids[-1]}/change/").text
    assert browser.get(f"{LIST}{ids[-1]}/proof/").status_code == 409
    assert browser.get(f"{LIST}999999/proof/").status_code == 404


def test_the_list_is_filtered_by_seal_and_searched(ids: list[int], auditor: Account) -> None:
    browser = signed_in(auditor)

    def listed(query: str) -> set[int]:
        return {event.pk for event in browser.get(f"{LIST}?{query}").context["cl"].result_list}

    assert listed("sealed=no") >= {ids[-1]}
    assert not listed("sealed=no") & set(ids[:-1])
    assert set(ids[:-1]) <= listed("sealed=yes")
    seal = Event.objects.get(pk=ids[0]).sealed.seal_id  # type: ignore[attr-defined]
    assert listed(f"in_seal={seal}") == set(ids[:-1])
    assert listed(f"in_seal={seal + 1}") == set(), "no such seal, so none of its events"
    assert listed("q=alice@lab.test&verb__exact=token.revoked") == {ids[1]}


def test_an_export_keeps_the_filters_of_the_list(ids: list[int], auditor: Account) -> None:
    browser = signed_in(auditor)
    query = "?verb__exact=token.created&sealed=yes"
    page = browser.get(LIST + query).text
    assert f"{LIST}export/csv/?" in page
    exported = browser.get(f"{LIST}export/jsonl/{query}")
    assert events_of(body(exported)) == [ids[0], ids[2]]
    assert "attachment" in exported.headers["content-disposition"]
    assert browser.get(f"{LIST}export/xml/").status_code == 404


def test_a_csv_says_the_same_as_the_log(ids: list[int], auditor: Account) -> None:
    rows = list(csv.DictReader(body(signed_in(auditor).get(f"{LIST}export/csv/")).splitlines()))
    found = {int(row["id"]): row for row in rows}
    assert list(found) == list(Event.objects.order_by("id").values_list("id", flat=True))
    assert json.loads(found[ids[0]]["data"]) == {"scopes": ["read", 'a "b", c']}
    assert found[ids[0]]["seal"]
    assert found[ids[-1]]["seal"] == found[ids[-1]]["actor"] == ""


def test_an_export_of_many_pages_has_each_event_once(
    ids: list[int], auditor: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 2)
    exported = events_of(body(signed_in(auditor).get(f"{LIST}export/jsonl/")))
    assert exported == list(Event.objects.order_by("id").values_list("id", flat=True))


# ---- REST ----------------------------------------------------------------------------------------
API = "/api/v1/events/"


def test_rest_exports_under_the_filters_of_the_list(ids: list[int], auditor: Account) -> None:
    assert with_token(auditor, Scope.READ).get(API).status_code == 403, "needs the scope of roles"
    program = with_token(auditor, Scope.REVIEW)
    query = "?verb=token.created&sealed=true"
    assert [one["id"] for one in program.get(API + query).json()["results"]] == [ids[2], ids[0]]
    assert events_of(body(program.get(f"{API}export.jsonl{query}"))) == [ids[0], ids[2]]
    assert body(program.get(f"{API}export.csv?verb=nothing")).splitlines() == [
        "id,at,verb,actor,subject_type,subject_id,data,seal"
    ]
    assert program.get(f"{API}export.xml").status_code == 404
    assert program.get(f"{API}{ids[0]}/proof/").json()["event"]["id"] == ids[0]
    assert program.get(f"{API}{ids[-1]}/proof/").json()["code"] == "wrong_state"


@pytest.mark.parametrize(
    ("query", "count"),
    [("since=2020-01-01T00:00:00Z", True), ("until=2020-01-01T00:00:00Z", False)],
)
def test_rest_filters_by_time(ids: list[int], auditor: Account, query: str, count: bool) -> None:
    assert bool(with_token(auditor).get(f"{API}?{query}").json()["results"]) is count


@pytest.mark.parametrize("query", ["since=yesterday", "until=", "sealed=perhaps", "actor=x"])
def test_a_filter_that_makes_no_sense_is_named(auditor: Account, query: str) -> None:
    for address in (API, f"{API}export.csv"):
        answer = with_token(auditor).get(f"{address}?{query}")
        assert answer.status_code == 400
        assert query.split("=")[0] in answer.json()["fields"]


def test_rest_gives_the_record_to_auditors_alone(
    ids: list[int], auditor: Account, rita: Account, mallory: Account, client: Client
) -> None:
    for address in (API, f"{API}export.csv", f"{API}export.jsonl", f"{API}{ids[0]}/proof/"):
        assert with_token(mallory).get(address).status_code == 403
        assert with_token(rita).get(address).status_code == 403
        assert with_token(auditor, Scope.SANDBOX).get(address).json()["code"] == "scope_missing"
        assert client.get(address).status_code == 401


# ---- The public page -----------------------------------------------------------------------------
def test_anybody_finds_the_public_key_and_the_last_seal(ids: list[int], client: Client) -> None:
    assert 'href="/audit/"' in client.get("/").text
    page = client.get("/audit/").text
    assert keys.public_key() in page
    last = sealing.last_seal()
    assert last
    assert f"{last.number}:{last.hash}" in page


def test_the_page_shows_no_event(ids: list[int], client: Client) -> None:
    assert "token.created" not in client.get("/audit/").text
    secret = keys.signing_key().private_bytes_raw().hex()
    assert secret not in client.get("/audit/").text


def test_the_page_stands_before_the_first_seal(client: Client, db: None) -> None:
    assert "Nothing is sealed yet" in client.get("/audit/").text
