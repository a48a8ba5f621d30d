"""The auditors' page and REST about the past."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access_requests import services
from access_requests.models import Application, DecisionPolicy, Grant
from access_requests.selectors import past_decisions
from distribution.services import publishing
from portal.accounts.models import Account, Scope
from portal.accounts.roles import Role
from tests.access_requests import vouching
from tests.access_requests.clock import Clock
from tests.access_requests.people import applicant, seen_now
from tests.people import person, signed_in, with_token

PAGE = "/admin/access_requests/grant/then/"
API = "/api/v1/access-then/"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def audrey(clock: Clock, db: None) -> Account:
    return person("audrey", Role.AUDITOR)


@pytest.fixture
def published(clock: Clock, grant: Grant, manager: Account) -> Grant:
    publishing._record(grant.release_id, "original", [], actor=manager)
    clock.forward(days=1)
    return grant


def ask(client: Client, at: Any, url: str = PAGE, **more: Any) -> Any:
    return client.get(url, {"at": f"{at:%Y-%m-%dT%H:%M:%S}", **more})


def body(response: Any) -> bytes:
    """A streamed answer as a whole."""

    async def read() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(read)()


def test_an_auditor_sees_who_could_and_by_whom_on_what(
    clock: Clock, published: Grant, audrey: Account, manager: Account
) -> None:
    then = clock.time
    clock.forward(days=1)
    services.revoke(published.pk, actor=manager, reason="Shared.")
    clock.forward(days=1)
    client = signed_in(audrey)
    page = ask(client, then, release=published.release.slug).content.decode()
    assert "Alice Example" in page
    assert "Rita Example" in page
    assert published.acceptance.text_sha256[:12] in page
    assert (
        "Nobody could" in ask(client, clock.time, release=published.release.slug).content.decode()
    )
    every = ask(client, clock.time, release=published.release.slug, show="all").content.decode()
    assert "no: revoked" in every
    one = ask(client, then, f"{PAGE}{published.pk}/").content.decode()
    assert published.acceptance.text_sha256 in one
    assert "the text below has it" in one
    assert "Not for commerce." in one
    assert "What it does not prove" in one
    assert "Rita Example: approved" in one


def test_what_a_witness_wrote_is_not_shown_to_auditors(
    clock: Clock, draft: Application, rita: Account, manager: Account, audrey: Account
) -> None:
    release = draft.releases.get()
    vouching.ask_for(release, referee=True)
    vouching.name(draft, "referee")
    vouching.submit(draft)
    vouching.refer(vouching.token_to(vouching.REFEREE["email"]))
    services.claim(draft.pk, actor=rita)
    vouching.decide(draft, rita)
    kept = {check["key"]: check["finding"] for check in draft.reviews.get().evidence}
    assert vouching.SECRET in kept["referee"], "reviewers have it with the decision"
    publishing._record(release.pk, "original", [], actor=manager)
    clock.forward(days=1)
    grant = Grant.objects.get()
    page = ask(signed_in(audrey), clock.time, f"{PAGE}{grant.pk}/").content.decode()
    rest = ask(with_token(audrey, Scope.REVIEW), clock.time, f"{API}{grant.pk}/").content.decode()
    for told in (page, rest):
        assert vouching.SECRET not in told
        assert vouching.REFEREE["email"] not in told
        assert past_decisions.WITHHELD in told
        assert "Referee" in told, "that somebody vouched is no secret"


def test_a_person_is_asked_for_by_address_or_number(
    clock: Clock, published: Grant, audrey: Account, alice: Account
) -> None:
    client = signed_in(audrey)
    for name in (alice.email.upper(), str(alice.pk)):
        page = ask(client, clock.time, person=name)
        assert page.status_code == 200
        assert "Evidence and text" in page.content.decode()
    unknown = ask(client, clock.time, person="nobody@lab.test")
    assert unknown.status_code == 422
    assert "No account has this address" in unknown.content.decode()


def test_the_future_and_a_question_about_nothing_are_refused(clock: Clock, audrey: Account) -> None:
    client = signed_in(audrey)
    late = ask(client, clock.time + timedelta(days=1), person=str(audrey.pk))
    assert "lies in the future" in late.content.decode()
    assert "Choose a release, a person, or both" in ask(client, clock.time).content.decode()
    odd = client.get(PAGE, {"at": "0001-01-01T00:00:00+14:00", "person": "1"})
    assert odd.status_code == 422


def test_only_auditors_ask(
    clock: Clock, published: Grant, rita: Account, mallory: Account, audrey: Account
) -> None:
    at = {"at": f"{clock.time:%Y-%m-%dT%H:%M:%S}", "release": published.release.slug}
    for url in (PAGE, f"{PAGE}{published.pk}/", f"{PAGE}export/csv/"):
        assert signed_in(rita).get(url, at).status_code == 404
        assert signed_in(mallory).get(url, at).status_code in (302, 403)
        assert signed_in(audrey).get(url, at).status_code == 200
    for url in (API, f"{API}{published.pk}/", f"{API}export.csv"):
        assert with_token(rita).get(url, at).status_code == 403
        assert with_token(audrey, Scope.READ).get(url, at).status_code == 403
        assert with_token(audrey, Scope.REVIEW).get(url, at).status_code == 200


def test_the_page_is_linked_from_the_log(audrey: Account) -> None:
    assert PAGE in signed_in(audrey).get("/admin/audit/event/").content.decode()


def test_rest_answers_with_the_decision_the_evidence_and_the_text(
    clock: Clock, published: Grant, audrey: Account, alice: Account, rita: Account
) -> None:
    client = with_token(audrey, Scope.REVIEW)
    at = f"{clock.time:%Y-%m-%dT%H:%M:%SZ}"
    answer = client.get(API, {"at": at, "release": published.release.slug}).json()
    (row,) = answer["results"]
    assert answer["next_after"] is None
    assert row["could"] is True
    assert row["account"] == alice.pk
    assert row["decided_by"] == [{"account": rita.pk, "name": rita.name}]
    one = client.get(f"{API}{published.pk}/", {"at": at}).json()
    assert one["text"].startswith("# For research")
    assert one["digest_fits"] is True
    (review,) = one["decisions"][0]["reviews"]
    assert {check["key"] for check in review["evidence"]} >= {"domain", "orcid"}
    assert client.get(API, {"release": published.release.slug}).status_code == 400
    assert client.get(API, {"at": at}).json()["fields"] == {
        "release": ["Choose a release, a person, or both."]
    }
    before = f"{clock.time - timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}"
    assert client.get(f"{API}{published.pk}/", {"at": before}).status_code == 404


def test_the_exports_hold_the_whole_answer(
    clock: Clock, published: Grant, audrey: Account, alice: Account
) -> None:
    alice.name = '=HYPERLINK("evil")'
    alice.save()
    client = signed_in(audrey)
    given = {"release": published.release.slug}
    lines = body(ask(client, clock.time, f"{PAGE}export/jsonl/", **given)).splitlines()
    assert [json.loads(line)["grant"] for line in lines] == [published.pk]
    text = body(ask(client, clock.time, f"{PAGE}export/csv/", **given)).decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["name"] == '\'=HYPERLINK("evil")', "a spreadsheet would run it"
    assert row["could"] == "True"
    assert "Rita Example" in row["decided_by"]
    assert ask(client, clock.time, f"{PAGE}export/pdf/", **given).status_code == 404


def test_both_of_two_approvers_are_named_and_not_those_of_an_earlier_round(
    clock: Clock,
    submitted: Application,
    alice: Account,
    rita: Account,
    second_reviewer: Account,
    manager: Account,
    audrey: Account,
) -> None:
    end = clock.time + timedelta(days=90)
    DecisionPolicy.objects.create(release=submitted.releases.get(), approvals=2)

    def approve(who: Account) -> None:
        clock.forward(hours=1)
        services.claim(submitted.pk, actor=who)
        clock.forward(hours=1)
        services.decide(
            submitted.pk, seen=seen_now(submitted.pk), actor=who, approve=True, ends_at=end
        )

    approve(manager)
    services.claim(submitted.pk, actor=rita)
    services.return_for_correction(
        submitted.pk, seen=seen_now(submitted.pk), actor=rita, message="Say which corpus."
    )
    clock.forward(hours=1)
    services.submit(submitted.pk, actor=alice, typed_name=alice.name)
    services.release(submitted.pk, actor=rita)
    approve(second_reviewer)
    approve(rita)
    grants = Grant.objects.all()
    (row,), _ = past_decisions.rows_then(grants, clock.time, only_open=False)
    assert row.deciders == [second_reviewer, rita]


def test_queries_do_not_grow_with_rows(clock: Clock, published: Grant, applied_by: Any) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as seen:
            rows, _ = past_decisions.rows_then(Grant.objects.all(), clock.time)
            assert all(row.then.grant.account.name and row.deciders for row in rows)
        return len(seen)

    few = count()
    for name in ("bob", "carol", "dan"):
        applied_by(applicant(name), until="approved")
    assert count() == few


def test_long_answers_come_in_pages(
    clock: Clock, published: Grant, applied_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_decisions, "PAGE", 2)
    monkeypatch.setattr(past_decisions, "CHUNK", 2)
    for name in ("bob", "carol", "dan", "eve"):
        applied_by(applicant(name), until="approved")

    def pages() -> Iterator[list[int]]:
        after: int | None = 0
        while after is not None:
            rows, after = past_decisions.rows_then(Grant.objects.all(), clock.time, after=after)
            yield [row.then.grant.pk for row in rows]

    numbers = sorted(Grant.objects.values_list("pk", flat=True))
    assert list(pages()) == [numbers[:2], numbers[2:4], numbers[4:]]
