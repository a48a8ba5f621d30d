"""My account over REST: an affiliation needs no browser, and nobody reads or changes another's."""

from typing import Any

import pytest
from django.test import Client

from access_requests.models import Application, State
from portal.accounts import services
from portal.accounts.models import Account, Affiliation, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from tests.access_requests.people import ANSWERS
from tests.openapi import check_answer
from tests.people import person, signed_in, with_token

URL = "/api/v1/account/"
JSON = "application/json"
HERS: dict[str, Any] = {
    "category": "academia",
    "institution": "University of Testing",
    "country": "NL",
    "position": "PhD student",
}


@pytest.fixture
def noor(db: None) -> Account:
    """Has an account and nothing else."""
    return person("noor")


def patch(client: Client, **body: Any) -> Any:
    answer = client.patch(URL, body, JSON)
    check_answer("PATCH", URL, answer)
    return answer


def test_a_token_alone_sets_an_affiliation_applies_and_submits(
    noor: Account, release: Release
) -> None:
    program = with_token(noor, Scope.READ, Scope.APPLY)
    assert program.get(URL).json()["affiliation"] is None
    assert patch(program, affiliation=HERS).status_code == 200
    form = program.get(f"/api/v1/releases/{release.slug}/form/")
    check_answer("GET", "/api/v1/releases/{slug}/form/", form)
    required = {one["key"] for one in form.json()["questions"] if one.get("required")}
    assert required <= set(ANSWERS)
    started = program.post(
        "/api/v1/applications/", {"releases": [release.slug], "answers": ANSWERS}, JSON
    )
    check_answer("POST", "/api/v1/applications/", started)
    submitted = program.post(
        f"/api/v1/applications/{started.json()['id']}/submit/",
        {"typed_name": noor.name, "licence_sha256": form.json()["licence"]["sha256"]},
        JSON,
    )
    check_answer("POST", "/api/v1/applications/{id}/submit/", submitted)
    application = Application.objects.get(applicant=noor)
    assert application.state == State.SUBMITTED
    assert application.affiliation["institution"] == HERS["institution"]


def test_the_page_and_the_program_see_one_affiliation(alice: Account) -> None:
    patch(with_token(alice), affiliation={"position": " Postdoc "})
    page = signed_in(alice).get("/account/").text
    assert 'value="Postdoc"' in page
    assert 'value="University of Testing"' in page, "what was left out stayed"


def test_the_answer_is_what_was_saved_in_its_one_spelling(noor: Account) -> None:
    orcid = "https://orcid.org/0000-0002-9079-593x"
    answer = patch(with_token(noor), affiliation=HERS | {"orcid": orcid, "web_page": "lab.test"})
    assert answer.json()["affiliation"] == HERS | {
        "orcid": "0000-0002-9079-593X",
        "web_page": "https://lab.test",
    }


def test_changes_are_events_and_a_new_name_is_mailed(alice: Account) -> None:
    patch(with_token(alice), name="Alice Renamed", affiliation={"position": "Postdoc"})
    verbs = set(Event.objects.filter(actor=alice).values_list("verb", flat=True))
    assert {Verb.AFFILIATION_CHANGED, Verb.ACCOUNT_RENAMED} <= verbs
    alice.refresh_from_db()
    assert alice.name == "Alice Renamed"
    assert "name on your account" in OutgoingMail.objects.get(to=alice.email).subject


def test_two_first_saves_at_once_are_one_affiliation(noor: Account) -> None:
    """A second click, or the page beside a program: neither sees the other's row."""
    first, second = Affiliation(**HERS), Affiliation(**HERS | {"position": "Postdoc"})
    services.save_affiliation(first, actor=noor)
    services.save_affiliation(second, actor=noor)
    assert Affiliation.objects.get(account=noor).position == "Postdoc"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"affiliation": {"category": "academia"}}, ["institution", "country", "position"]),
        ({"affiliation": HERS | {"country": "Netherlands"}}, ["country"]),
        ({"affiliation": HERS | {"category": "school"}}, ["category"]),
        ({"affiliation": HERS | {"orcid": "0000-0002-9079-5930"}}, ["orcid"]),
        ({"affiliation": HERS | {"web_page": "https://me:secret@lab.test"}}, ["web_page"]),
        ({"affiliation": HERS | {"institution": "x" * 201}}, ["institution"]),
        ({"affiliation": HERS | {"institution": "\u200b"}}, ["institution"]),
        ({"affiliation": HERS | {"position": None}}, ["position"]),
    ],
)
def test_the_rules_are_those_of_the_page_and_errors_name_the_fields(
    noor: Account, body: dict[str, Any], fields: list[str]
) -> None:
    answer = patch(with_token(noor), **body, name="Noor Renamed")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()["fields"]) == {f"affiliation.{name}" for name in fields}
    assert not Affiliation.objects.filter(account=noor).exists()
    noor.refresh_from_db()
    assert noor.name == "Noor Example", "nothing of it was saved"


def test_a_name_with_a_link_is_refused(noor: Account) -> None:
    assert list(patch(with_token(noor), name="www.noor.test").json()["fields"]) == ["name"]


def test_a_token_needs_the_scope_and_nobody_reaches_another(
    alice: Account, mallory: Account, client: Client
) -> None:
    assert client.get(URL).status_code == 401
    reads = patch(with_token(alice, Scope.READ), affiliation={"position": "Dean"})
    assert (reads.status_code, reads.json()["code"]) == (403, "scope_missing")
    assert with_token(alice, Scope.APPLY).get(URL).status_code == 403
    hers = with_token(mallory)
    assert hers.get(URL).json() == {
        **{"id": mallory.pk, "email": mallory.email, "name": mallory.name},
        "affiliation": None,
    }
    patch(hers, affiliation=HERS | {"position": "Dean"}, id=alice.pk, email=alice.email)
    alice.affiliation.refresh_from_db()
    assert alice.affiliation.position == "PhD student"
    assert hers.get(f"{URL}{alice.pk}/").status_code == 404
