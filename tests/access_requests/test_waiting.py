"""How long an application waits, and its place: one answer, for the applicant, the queue and the reviewer."""

from collections.abc import Callable
from datetime import timedelta
from unittest import mock

from django.utils import timezone

from access_requests import selectors, services
from access_requests.models import Application, State
from access_requests.services import preparing
from portal.accounts.models import Account
from tests.access_requests.people import applicant, seen_now
from tests.access_requests.test_admin import QUEUE, page_of, text
from tests.people import signed_in, with_token


def days_ago(application: Application, **days: int) -> None:
    """`submitted_at=3`: three days ago, and an hour."""
    times = {
        field: timezone.now() - timedelta(days=number, hours=1) for field, number in days.items()
    }
    Application.objects.filter(pk=application.pk).update(**times)


def appealed(refused: Application, alice: Account) -> Application:
    days_ago(refused, submitted_at=100, decided_at=90)
    services.appeal(refused.pk, actor=alice, text="Why.")
    days_ago(refused, appealed_at=2)
    return Application.objects.get(pk=refused.pk)


def test_an_appeal_waits_from_the_appeal_on_and_everybody_says_so(
    refused: Application,
    alice: Account,
    second_reviewer: Account,
    applied_by: Callable[..., Application],
) -> None:
    others = [applied_by(applicant(f"p{days}")) for days in (9, 5, 1)]
    for one, days in zip(others, (9, 5, 1), strict=True):
        days_ago(one, submitted_at=days)
    appeal = appealed(refused, alice)
    order = [others[0].pk, others[1].pk, appeal.pk, others[2].pk]
    assert list(selectors.review_queue(second_reviewer).values_list("pk", flat=True)) == order
    for place, pk in enumerate(order, start=1):
        assert selectors.queue_position(Application.objects.get(pk=pk)) == place
    first = selectors.next_for(second_reviewer)
    assert first is not None
    assert first.pk == order[0]
    api = with_token(second_reviewer).get("/api/v1/applications/?queue=1").json()["results"]
    assert [one["id"] for one in api] == order
    page = text(signed_in(second_reviewer), QUEUE)
    places = [page.index(Application(pk=pk).reference) for pk in order]
    assert places == sorted(places)
    told = signed_in(alice).get(f"/applications/{appeal.pk}/").content.decode()
    assert "3 of 4" in told


def test_the_page_and_the_list_say_the_same_age_of_an_appeal(
    refused: Application, alice: Account, second_reviewer: Account
) -> None:
    appeal = appealed(refused, alice)
    age = selectors.age_of(appeal)
    assert age is not None
    assert age.words == "2 days: 12 days left"
    client = signed_in(second_reviewer)
    assert age.words in text(client, QUEUE)
    assert age.words in text(client, page_of(appeal))
    assert appeal.reference not in text(client, f"{QUEUE}?age=30")
    assert appeal.reference not in text(client, f"{QUEUE}?tab=overdue")


def test_the_time_to_a_decision_is_the_wait_before_it(
    refused: Application, alice: Account, rita: Account, second_reviewer: Account
) -> None:
    days_ago(refused, submitted_at=100, decided_at=90)
    client = signed_in(second_reviewer)
    assert "10 days to the decision" in text(client, page_of(refused))
    appeal = appealed(refused, alice)
    services.claim(appeal.pk, actor=second_reviewer)
    seen = seen_now(appeal.pk)
    services.decide(appeal.pk, actor=second_reviewer, seen=seen, approve=False, reason="No.")
    assert "2 days to the decision" in text(client, page_of(appeal))
    assert round(appeal.reviews.get(reviewer=second_reviewer).days or 0) == 2


def test_an_appeal_that_is_withdrawn_leaves_the_time_of_the_refusal(
    refused: Application, alice: Account, rita: Account
) -> None:
    appeal = appealed(refused, alice)
    services.withdraw(appeal.pk, actor=alice)
    assert "10 days to the decision" in text(signed_in(rita), page_of(appeal))


def test_what_was_withdrawn_waits_for_nothing(withdrawn: Application, rita: Account) -> None:
    days_ago(withdrawn, submitted_at=100)
    assert selectors.waiting_time(Application.objects.get(pk=withdrawn.pk)) is None
    page = text(signed_in(rita), page_of(withdrawn))
    assert "days" not in page.split("</section>")[0].split("<h1>")[1]


# ---- What is looked up after a submission --------------------------------------------------------


def test_a_lost_preparation_of_a_resubmission_is_found(
    returned: Application, alice: Account, rita: Account
) -> None:
    days_ago(returned, submitted_at=30)
    services.submit(returned.pk, actor=alice, typed_name=alice.name)
    row = Application.objects.filter(pk=returned.pk)
    assert row.get().prepared_at is None  # its task was lost: the tests run none
    assert preparing.prepare_left_over() == 0  # the task has its two minutes first
    row.update(updated_at=timezone.now() - timedelta(minutes=3))
    assert preparing.prepare_left_over() == 1
    assert row.get().prepared_at is not None
    assert preparing.prepare_left_over() == 0


def test_an_appeal_is_prepared_once_more_and_what_is_over_is_not(
    refused: Application, alice: Account
) -> None:
    Application.objects.update(prepared_at=None, updated_at=timezone.now() - timedelta(minutes=3))
    assert preparing.prepare_left_over() == 0
    services.appeal(refused.pk, actor=alice, text="Why.")
    Application.objects.update(updated_at=timezone.now() - timedelta(minutes=3))
    assert preparing.prepare_left_over() == 1


def test_a_preparation_that_a_newer_submission_overtook_does_not_count_for_it(
    submitted: Application, alice: Account, rita: Account
) -> None:
    pk = submitted.pk

    def overtaken(_: str) -> None:
        services.claim(pk, actor=rita)
        services.return_for_correction(pk, actor=rita, seen=seen_now(pk), message="Which?")
        services.submit(pk, actor=alice, typed_name=alice.name)

    with mock.patch.object(preparing, "look_up_orcid", overtaken):
        preparing.prepare_review(pk)
    found = Application.objects.get(pk=pk)
    assert (found.state, found.prepared_at) == (State.IN_REVIEW, None)
