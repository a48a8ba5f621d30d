"""A token reaches as far as its scopes, not as far as the roles of its person."""

import pytest
from django.test import Client

from access_requests import services
from access_requests.models import Application, Grant, Witness
from portal.accounts.models import Account, Scope
from portal.audit.models import Event
from tests.access_requests import vouching
from tests.access_requests.people import ANSWERS
from tests.people import with_token

OTHERS = tuple(scope for scope in Scope if scope != Scope.REVIEW)


def without_review(account: Account) -> Client:
    return with_token(account, *OTHERS)


def test_a_reviewer_reads_others_applications_with_review_alone(
    submitted: Application, rita: Account, alice: Account
) -> None:
    url = f"/api/v1/applications/{submitted.pk}/"
    assert without_review(rita).get(url).status_code == 404
    assert with_token(rita, Scope.READ, Scope.REVIEW).get(url).status_code == 200
    assert with_token(alice, Scope.READ).get(url).status_code == 200, "one's own"


@pytest.mark.parametrize("url", ["/api/v1/applications/?queue=1", "/api/v1/grants/?all=1"])
def test_the_lists_of_reviewers_say_which_scope_is_missing(rita: Account, url: str) -> None:
    answer = without_review(rita).get(url)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert "`review`" in answer.json()["detail"]
    assert with_token(rita, Scope.READ, Scope.REVIEW).get(url).status_code == 200


def test_a_reviewer_writes_to_an_applicant_with_review_alone(
    in_review: Application, rita: Account, alice: Account, mallory: Account
) -> None:
    url, text = f"/api/v1/applications/{in_review.pk}/messages/", {"text": "Which corpus?"}
    answer = with_token(rita, Scope.APPLY).post(url, text, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert not in_review.messages.exists()
    for program, status in (
        (with_token(rita, Scope.REVIEW, Scope.READ), 200),
        (with_token(alice, Scope.APPLY), 200),
        (with_token(alice, Scope.REVIEW), 403),  # as the applicant one needs `apply`
        (with_token(mallory, Scope.APPLY), 404),
    ):
        assert program.post(url, text, content_type="application/json").status_code == status
    assert in_review.messages.count() == 2


def test_a_referee_is_asked_again_by_each_side_with_its_own_scope(
    alice: Account, rita: Account, release: object
) -> None:
    vouching.ask_for(release, referee=True)
    made = services.start(actor=alice, releases=[release], answers=ANSWERS)
    vouching.name(made, "referee")
    vouching.submit(made)
    services.claim(made.pk, actor=rita)
    again = f"/api/v1/witnesses/{Witness.objects.get().pk}/again/"
    for account, scope, code in (
        (rita, Scope.APPLY, "scope_missing"),
        (alice, Scope.REVIEW, "scope_missing"),
        (rita, Scope.REVIEW, "too_early"),
        (alice, Scope.APPLY, "too_early"),
    ):
        assert with_token(account, scope).post(again).json()["code"] == code


def test_the_audit_log_is_read_with_review_alone(manager: Account, submitted: Application) -> None:
    event = Event.objects.first()
    assert event is not None
    for url in (
        "/api/v1/events/",
        "/api/v1/events/export.jsonl",
        f"/api/v1/events/{event.pk}/proof/",
        "/api/v1/access-then/",
    ):
        assert without_review(manager).get(url).json()["code"] == "scope_missing"
        assert with_token(manager, Scope.REVIEW).get(url).status_code in (200, 400, 409)


def test_a_manager_ends_a_grant_with_review_alone(grant: Grant, manager: Account) -> None:
    url, why = f"/api/v1/grants/{grant.pk}/revoke/", {"reason": "A copy was public."}
    assert (
        without_review(manager).post(url, why, content_type="application/json").status_code == 403
    )
    grant.refresh_from_db()
    assert grant.status == "active"
    program = with_token(manager, Scope.REVIEW)
    assert program.post(url, why, content_type="application/json").status_code == 200


def test_a_superuser_is_nobody_special_without_review(
    submitted: Application, manager: Account
) -> None:
    manager.groups.clear()
    manager.is_superuser = True
    manager.save()
    url = f"/api/v1/applications/{submitted.pk}/"
    assert without_review(manager).get(url).status_code == 404
    assert with_token(manager).get(url).status_code == 200
