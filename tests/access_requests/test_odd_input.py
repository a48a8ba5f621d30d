"""Values that nobody types by mistake."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from access_requests import services, words
from access_requests.models import Application
from portal.accounts.models import Account, Affiliation
from portal.catalog.models import Family, Release
from portal.refusals import Code
from tests.access_requests.people import ANSWERS
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in, with_token

QUESTIONS = [{"key": "gpus", "label": "How many GPUs?", "type": "number"}]


@pytest.mark.parametrize("number", [10**400, -(10**400), "1e999", "nan", "inf"])
def test_a_number_beyond_all_numbers_is_refused(
    alice: Account, family: Family, release: Release, number: object
) -> None:
    services.make_form(family, QUESTIONS)
    refusal = refusal_of(services.start, actor=alice, releases=[release], answers={"gpus": number})
    assert refusal.code == Code.INVALID
    assert list(refusal.fields) == ["gpus"]
    assert not Application.objects.exists()


def test_a_large_number_is_kept_as_it_is(alice: Account, family: Family, release: Release) -> None:
    services.make_form(family, QUESTIONS)
    made = services.start(actor=alice, releases=[release], answers={"gpus": 4096})
    assert made.answers == {"gpus": 4096}


BIG = 12345678901234567890


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("12345678901234567890", BIG), ("0.1", 0.1), ("-3", -3), ("12.50", 12.5), ("0.0000001", 1e-7)],
)
def test_a_number_is_kept_with_all_its_digits(
    alice: Account, family: Family, release: Release, typed: str, kept: object
) -> None:
    services.make_form(family, QUESTIONS)
    client = signed_in(alice)
    data = {"releases": [release.slug], "answers-gpus": typed}
    page = client.post("/applications/new/llama/", data, follow=True).text
    draft = Application.objects.get()
    assert draft.answers == {"gpus": kept}
    shown = typed.removesuffix("0") if "." in typed else typed
    assert f'value="{shown}"' in page  # and the page saves it again as it is
    assert (
        f'"gpus":{json.dumps(kept)}'
        in with_token(alice).get(f"/api/v1/applications/{draft.pk}/").text
    )
    assert words.answered(draft)[0].answer == shown


@pytest.mark.parametrize("typed", ["0012345", "0.12345678901234567890", "1e5", "1,5", "9" * 41])
def test_a_number_that_would_not_be_kept_as_typed_is_refused(
    alice: Account, family: Family, release: Release, typed: str
) -> None:
    services.make_form(family, QUESTIONS)
    data = {"releases": [release.slug], "answers-gpus": typed}
    answer = signed_in(alice).post("/applications/new/llama/", data)
    assert answer.status_code == 422
    assert f'value="{typed}"' in answer.text
    assert not Application.objects.exists()


def test_json_rounds_no_number_either(alice: Account, family: Family, release: Release) -> None:
    services.make_form(family, QUESTIONS)
    program = with_token(alice)

    def sent(number: str) -> Any:
        body = f'{{"releases": ["{release.slug}"], "answers": {{"gpus": {number}}}}}'
        return program.post("/api/v1/applications/", body, content_type="application/json")

    assert sent("0.12345678901234567890").status_code == 400
    assert not Application.objects.exists()
    assert f'"gpus":{BIG}' in sent(str(BIG)).text
    assert '"gpus":0.25' in sent("0.25").text
    assert '"gpus":100000' in sent("1e5").text


@pytest.mark.parametrize(("state", "status"), [("nonsense", 200), ("\0", 400), ("draft", 200)])
def test_the_queue_shows_nothing_for_a_state_that_it_does_not_know(
    rita: Account, draft: Application, state: str, status: int
) -> None:
    page = signed_in(rita).get("/admin/access_requests/application/", {"state": state})
    assert page.status_code == status
    assert draft.reference not in page.text


def test_reviewers_never_read_what_is_still_being_typed(
    returned: Application, alice: Account, rita: Account
) -> None:
    """On no page: neither at the desk, nor on the applicant's own page, which they may open."""
    words = {"research_purpose": "A sentence not yet finished"}
    services.save_draft(returned.pk, actor=alice, answers=words)
    own, desk = f"/applications/{returned.pk}/", "/admin/access_requests/application/"
    assert words["research_purpose"] in signed_in(alice).get(own).text
    for page in (own, f"{desk}{returned.pk}/change/"):
        shown = signed_in(rita).get(page)
        assert shown.status_code == 200
        assert words["research_purpose"] not in shown.text
        assert ANSWERS["research_purpose"] in shown.text


def test_a_reviewer_who_applies_sees_no_evidence_of_their_own_case(
    rita: Account, second_reviewer: Account, applied_by: Callable[..., Application]
) -> None:
    Affiliation.objects.create(
        account=rita, category="academia", institution="Lab", country="NL", position="Postdoc"
    )
    own = applied_by(rita)
    services.claim(own.pk, actor=second_reviewer)
    page = f"/admin/access_requests/application/{own.pk}/change/"
    finding = "The first application of this person."
    assert finding in signed_in(second_reviewer).get(page).text
    assert finding not in signed_in(rita).get(page).text


@pytest.mark.parametrize("target", ["nowhere", "//evil.example/", "https://evil.example/", "\\\\e"])
def test_an_odd_next_leads_to_a_page_of_ours(alice: Account, target: str) -> None:
    form = {
        **{"name": alice.name, "category": "academia", "institution": "Lab", "country": "NL"},
        **{"position": "Postdoc", "web_page": "", "orcid": "", "next": target},
    }
    answer = signed_in(alice).post("/account/", form)
    assert answer.status_code == 302
    assert "evil" not in answer["Location"]
    assert not answer["Location"].startswith("\\")
