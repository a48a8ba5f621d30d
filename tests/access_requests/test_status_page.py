"""What an applicant is told while they wait, in each state, on the page and over REST."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from access_requests import selectors, services
from access_requests.models import Application, DecisionPolicy
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.people import applicant, seen_now
from tests.people import signed_in, with_token


def told(account: Account, application: Application) -> tuple[str, str]:
    """The page's text and REST's sentence."""
    page = signed_in(account).get(f"/applications/{application.pk}/").text
    rest = with_token(account).get(f"/api/v1/applications/{application.pk}/").json()
    assert rest["what_happens_next"] in page
    return page, rest["what_happens_next"]


def decided(applied_by: Callable[..., Application], *days: float) -> None:
    """Applications that took so long, decided just now."""
    now = timezone.now()
    for number, took in enumerate(days):
        made = applied_by(applicant(f"p{number}"), until="approved")
        made.reviews.update(closed_at=now, days=took)


def test_with_too_few_decisions_it_says_so(submitted: Application, alice: Account) -> None:
    page, _ = told(alice, submitted)
    assert "too few decisions lately to say" in page
    assert "1 of 1" in page


def test_both_times_are_told_on_the_page_and_over_rest(
    submitted: Application, alice: Account, applied_by: Callable[..., Application]
) -> None:
    decided(applied_by, 1, 2, 3, 4, 11)
    page, _ = told(alice, submitted)
    assert "median 3 days" in page
    assert "nine of ten within 8.2 days" in page
    rest = with_token(alice).get(f"/api/v1/applications/{submitted.pk}/").json()
    assert rest["time_to_decision"] == {
        "median_days": pytest.approx(3.0),
        "p90_days": pytest.approx(8.2),
    }


def test_an_appeal_counts_from_itself(
    applied_by: Callable[..., Application],
    submitted: Application,
    rita: Account,
    second_reviewer: Account,
) -> None:
    decided(applied_by, 10, 10, 10, 10)
    services.claim(submitted.pk, actor=rita)
    services.decide(
        submitted.pk, seen=seen_now(submitted.pk), actor=rita, approve=False, reason="No."
    )
    services.appeal(submitted.pk, actor=submitted.applicant, text="Please look again.")
    now = timezone.now()
    Application.objects.filter(pk=submitted.pk).update(
        submitted_at=now - timedelta(days=30), appealed_at=now - timedelta(days=2)
    )
    services.claim(submitted.pk, actor=second_reviewer)
    services.decide(submitted.pk, seen=seen_now(submitted.pk), actor=second_reviewer, approve=True)
    assert submitted.reviews.latest("pk").days == pytest.approx(2.0, abs=0.01)
    times = selectors.time_to_decision()
    assert times
    assert times.p90_days == pytest.approx(10)


def test_it_takes_one_query_however_many_there_are(
    applied_by: Callable[..., Application],
    submitted: Application,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(1):
        assert selectors.time_to_decision() is None
    decided(applied_by, *range(1, 8))
    with django_assert_num_queries(1):
        assert selectors.time_to_decision()


def test_each_state_says_what_happens_next(
    draft: Application, alice: Account, rita: Account, second_reviewer: Account
) -> None:
    seen = [told(alice, draft)[1]]
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    seen.append(told(alice, draft)[1])
    services.claim(draft.pk, actor=rita)
    seen.append(told(alice, draft)[1])
    services.return_for_correction(
        draft.pk, seen=seen_now(draft.pk), actor=rita, message="Say more."
    )
    page, sentence = told(alice, draft)
    assert "kept for you" in page
    seen.append(sentence)
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    services.decide(draft.pk, seen=seen_now(draft.pk), actor=rita, approve=False, reason="No.")
    seen.append(told(alice, draft)[1])
    services.appeal(draft.pk, actor=alice, text="Please.")
    page, sentence = told(alice, draft)
    assert "from the appeal" in page
    seen.append(sentence)
    services.claim(draft.pk, actor=second_reviewer)
    seen.append(told(alice, draft)[1])
    services.decide(
        draft.pk, seen=seen_now(draft.pk), actor=second_reviewer, approve=False, reason="Still no."
    )
    assert "the refusal stands" in told(alice, draft)[1]
    assert len(set(seen)) == len(seen)
    assert all(seen)


def test_after_the_first_of_two_approvals_it_says_that_a_second_person_reads_it(
    release: Release,
    in_review: Application,
    alice: Account,
    rita: Account,
    second_reviewer: Account,
) -> None:
    DecisionPolicy.objects.create(release=release, approvals=2)
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    assert "a second person reads it next" in told(alice, in_review)[1]
    services.claim(in_review.pk, actor=second_reviewer)
    assert "a second person reads it now" in told(alice, in_review)[1]
