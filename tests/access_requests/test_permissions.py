"""Who sees and does what; mallory everywhere."""

import pytest
from django.test import Client
from django.urls import reverse

from access_requests import selectors, services
from access_requests.models import Application, Grant
from portal.accounts.models import Account
from portal.refusals import Code
from tests.access_requests.people import denials, seen_now
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in

PAGES = ("application", "edit", "licence")


@pytest.mark.parametrize("page", PAGES)
def test_the_draft_of_another_is_not_found(
    draft: Application, mallory: Account, rita: Account, manager: Account, page: str
) -> None:
    address = reverse(f"access_requests:{page}", args=[draft.pk])
    for other in (mallory, rita, manager):
        assert signed_in(other).get(address).status_code == 404
        assert signed_in(other).post(address).status_code in (404, 405)


@pytest.mark.parametrize("page", PAGES)
def test_a_submitted_application_is_not_found_by_who_does_not_review(
    submitted: Application, mallory: Account, page: str
) -> None:
    assert (
        signed_in(mallory).get(reverse(f"access_requests:{page}", args=[submitted.pk])).status_code
        == 404
    )


def test_a_reviewer_reads_a_submitted_application_and_cannot_edit_it(
    returned: Application, rita: Account
) -> None:
    client = signed_in(rita)
    assert client.get(reverse("access_requests:application", args=[returned.pk])).status_code == 200
    for page in ("edit", "licence"):
        assert client.get(reverse(f"access_requests:{page}", args=[returned.pk])).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_a_visitor_signs_in_first(submitted: Application, client: Client, page: str) -> None:
    response = client.get(reverse(f"access_requests:{page}", args=[submitted.pk]))
    assert response.status_code == 302
    assert response.url.startswith("/account/login/")


def seen(pk: int) -> str:
    """What a page of it would carry; of what does not exist there is none."""
    return seen_now(pk) if Application.objects.filter(pk=pk).exists() else ""


ACTS = {
    "save": lambda pk, actor: services.save_draft(pk, actor=actor, answers={"sharing": "nothing"}),
    "submit": lambda pk, actor: services.submit(pk, actor=actor, typed_name=actor.name),
    "withdraw": lambda pk, actor: services.withdraw(pk, actor=actor),
    "claim": lambda pk, actor: services.claim(pk, actor=actor),
    "release": lambda pk, actor: services.release(pk, actor=actor),
    "return": lambda pk, actor: services.return_for_correction(
        pk, seen=seen(pk), actor=actor, message="m"
    ),
    "approve": lambda pk, actor: services.decide(pk, seen=seen(pk), actor=actor, approve=True),
    "refuse": lambda pk, actor: services.decide(
        pk, seen=seen(pk), actor=actor, approve=False, reason="r"
    ),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    "state", ["draft", "submitted", "in_review", "returned", "approved", "withdrawn"]
)
def test_mallory_may_nothing_in_any_state_and_each_attempt_is_written_down(
    request: pytest.FixtureRequest, mallory: Account, state: str, act: str
) -> None:
    application: Application = request.getfixturevalue(state)
    application.refresh_from_db()
    before = {**vars(application)}
    assert refusal_of(ACTS[act], application.pk, mallory).code == Code.NOT_FOUND
    application.refresh_from_db()
    assert {key: before[key] for key in ("state", "answers", "claimed_by_id")} == {
        key: vars(application)[key] for key in ("state", "answers", "claimed_by_id")
    }
    (event,) = denials(application)
    assert (event.actor, event.data) == (mallory, {"action": act, "code": "not_found"})


@pytest.mark.parametrize("act", ["claim", "release", "return", "approve", "refuse"])
def test_an_applicant_does_nothing_of_a_reviewer(
    in_review: Application, alice: Account, act: str
) -> None:
    assert refusal_of(ACTS[act], in_review.pk, alice).code == Code.NOT_ALLOWED
    assert len(denials(in_review)) == 1


@pytest.mark.parametrize("act", ["save", "submit", "withdraw"])
def test_a_reviewer_does_nothing_of_an_applicant(
    returned: Application, rita: Account, manager: Account, act: str
) -> None:
    assert refusal_of(ACTS[act], returned.pk, rita).code == Code.NOT_ALLOWED
    assert refusal_of(ACTS[act], returned.pk, manager).code == Code.NOT_ALLOWED
    assert len(denials(returned)) == 2


@pytest.mark.parametrize("act", ACTS)
def test_what_does_not_exist_is_not_found(rita: Account, act: str) -> None:
    assert refusal_of(ACTS[act], 999_999, rita).code == Code.NOT_FOUND


def test_the_selectors_show_each_only_what_is_theirs(
    grant: Grant, alice: Account, mallory: Account
) -> None:
    assert list(selectors.grants_of(alice)) == [grant]
    assert list(selectors.grants_of(mallory)) == []
    assert list(selectors.applications_of(mallory)) == []


def test_the_queue_holds_no_drafts_and_nothing_decided(
    draft: Application, alice: Account, rita: Account
) -> None:
    assert list(selectors.review_queue(rita)) == []
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    assert list(selectors.review_queue(rita)) == [draft]
    services.claim(draft.pk, actor=rita)
    assert list(selectors.review_queue(rita)) == [draft]
    services.decide(draft.pk, seen=seen_now(draft.pk), actor=rita, approve=True)
    assert list(selectors.review_queue(rita)) == []
