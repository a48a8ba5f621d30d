"""Claim, give back, return, approve, refuse."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access_requests import selectors, services
from access_requests.models import Application, Grant, Review, State, Tier
from portal.accounts.models import Account, Affiliation
from portal.audit.models import Event, Verb
from portal.catalog.models import LicenceVersion, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.conftest import another_release
from tests.access_requests.people import ANSWERS, applicant, denials, mails_to, seen_now, verbs
from tests.access_requests.test_submit import refusal_of


def test_a_claim_names_the_reviewer(in_review: Application, rita: Account) -> None:
    assert (in_review.state, in_review.claimed_by) == (State.IN_REVIEW, rita)
    assert in_review.reviews.get().reviewer == rita
    assert verbs(in_review)[-1] == Verb.APPLICATION_CLAIMED


def test_the_second_to_claim_learns_who_was_quicker(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    refusal = refusal_of(services.claim, in_review.pk, actor=second_reviewer)
    assert refusal.code == Code.CONFLICT
    assert rita.name in refusal.detail
    assert refusal.since == in_review.claimed_at
    in_review.refresh_from_db()
    assert in_review.claimed_by == rita


def test_a_claim_given_back_can_be_taken_by_another(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    services.release(in_review.pk, actor=rita)
    assert services.claim(in_review.pk, actor=second_reviewer).claimed_by == second_reviewer
    assert list(in_review.reviews.values_list("outcome", flat=True)) == ["released", ""]


def test_a_manager_gives_back_the_claim_of_a_reviewer_who_is_gone(
    in_review: Application, manager: Account, second_reviewer: Account
) -> None:
    refusal = refusal_of(services.release, in_review.pk, actor=second_reviewer)
    assert refusal.code == Code.CONFLICT
    assert services.release(in_review.pk, actor=manager).state == State.SUBMITTED


def test_deciding_needs_a_claim(submitted: Application, rita: Account) -> None:
    refusal = refusal_of(
        services.decide, submitted.pk, seen=seen_now(submitted.pk), actor=rita, approve=True
    )
    assert refusal.code == Code.WRONG_STATE
    assert refusal.way_out == "Claim it first."
    submitted.refresh_from_db()
    assert submitted.state == State.SUBMITTED
    assert not Grant.objects.exists()


def test_an_approval_grants_what_was_asked_for_a_year(
    approved: Application, alice: Account, rita: Account, release: Release
) -> None:
    grant = Grant.objects.get()
    assert (grant.account, grant.release, grant.tier) == (alice, release, Tier.WEIGHTS)
    assert grant.acceptance == approved.acceptance
    assert abs(grant.ends_at - timezone.now() - timedelta(days=365)) < timedelta(minutes=1)
    assert approved.decided_by == rita
    assert verbs(approved)[-1] == Verb.APPLICATION_APPROVED
    assert verbs(grant) == [Verb.GRANT_ISSUED]
    assert mails_to(alice) == ["application_submitted", "application_approved"]
    assert selectors.grant_for(alice, release, tier=Tier.WEIGHTS) == grant


def test_the_mail_of_an_approval_says_what_until_when_and_what_next(approved: Application) -> None:
    body = OutgoingMail.objects.get(template="application_approved").body
    assert "LLaMA 7B: http://testserver/releases/llama-7b/" in body
    assert "sandbox and download" in body
    assert "Sound plan." in body
    assert "What happens next" in body


def test_the_terms_of_an_approval_are_the_reviewers(
    draft: Application, alice: Account, rita: Account, release: Release, second_release: Release
) -> None:
    services.save_draft(draft.pk, actor=alice, releases=[release, second_release])
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    services.claim(draft.pk, actor=rita)
    end = timezone.now() + timedelta(days=30)
    services.decide(
        draft.pk,
        seen=seen_now(draft.pk),
        actor=rita,
        approve=True,
        ends_at=end,
        releases=[second_release],
        tier=Tier.TRY,
    )
    grant = Grant.objects.get()
    assert (grant.release, grant.tier, grant.ends_at) == (second_release, Tier.TRY, end)


def test_a_release_that_was_not_asked_for_cannot_be_granted(
    in_review: Application, rita: Account, second_release: Release
) -> None:
    refusal = refusal_of(
        services.decide,
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=rita,
        approve=True,
        releases=[second_release],
    )
    assert refusal.code == Code.INVALID
    assert second_release.repo_id in refusal.detail
    in_review.refresh_from_db()
    assert in_review.state == State.IN_REVIEW


@pytest.mark.parametrize(
    ("terms", "field"),
    [({"releases": []}, "releases"), ({"ends_at": timezone.now() - timedelta(days=1)}, "ends_at")],
)
def test_terms_that_make_no_sense_are_refused(
    in_review: Application, rita: Account, terms: dict[str, object], field: str
) -> None:
    refusal = refusal_of(
        services.decide,
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=rita,
        approve=True,
        **terms,
    )
    assert field in refusal.fields
    assert not Grant.objects.exists()


def test_a_release_withdrawn_since_is_not_granted(
    draft: Application, alice: Account, rita: Account, release: Release, second_release: Release
) -> None:
    services.save_draft(draft.pk, actor=alice, releases=[release, second_release])
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    services.claim(draft.pk, actor=rita)
    Release.objects.filter(pk=release.pk).update(status=Release.Status.WITHDRAWN)
    refusal = refusal_of(
        services.decide,
        draft.pk,
        seen=seen_now(draft.pk),
        actor=rita,
        approve=True,
        releases=[release],
    )
    assert refusal.code == Code.WITHDRAWN
    services.decide(draft.pk, seen=seen_now(draft.pk), actor=rita, approve=True)
    assert Grant.objects.get().release == second_release


def test_a_refusal_tells_its_reason(refused: Application, alice: Account) -> None:
    assert refused.state == State.REFUSED
    assert not Grant.objects.exists()
    assert "No research question." in OutgoingMail.objects.get(template="application_refused").body
    assert verbs(refused)[-1] == Verb.APPLICATION_REFUSED


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_a_refusal_without_a_reason_is_no_refusal(
    in_review: Application, rita: Account, reason: str
) -> None:
    refusal = refusal_of(
        services.decide,
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=rita,
        approve=False,
        reason=reason,
    )
    assert "reason" in refusal.fields
    in_review.refresh_from_db()
    assert in_review.state == State.IN_REVIEW


def test_a_return_needs_a_message(in_review: Application, rita: Account) -> None:
    refusal = refusal_of(
        services.return_for_correction,
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=rita,
        message=" ",
    )
    assert "message" in refusal.fields


def test_a_return_tells_the_applicant_and_keeps_the_answers_as_they_were(
    returned: Application, alice: Account
) -> None:
    assert returned.state == State.RETURNED
    assert returned.messages.get().answers_before == ANSWERS
    assert "Say which corpus." in OutgoingMail.objects.get(template="application_returned").body
    assert returned.reviews.get().outcome == Review.Outcome.RETURNED


def test_a_reviewer_never_reads_what_is_still_being_typed(
    returned: Application, alice: Account
) -> None:
    services.save_draft(returned.pk, actor=alice, answers={"intended_use": "Half a sen"})
    returned.refresh_from_db()
    assert selectors.answers_on_the_table(returned).answers == ANSWERS
    services.save_draft(returned.pk, actor=alice, answers={"intended_use": "A whole sentence."})
    again = services.submit(returned.pk, actor=alice, typed_name=alice.name)
    shown = selectors.answers_on_the_table(again)
    assert shown.answers["intended_use"] == "A whole sentence."
    assert shown.before == ANSWERS


# ---- Twice, and by the wrong person --------------------------------------------------------------


def test_the_second_decision_learns_by_whom_and_when_the_first_was_made(
    approved: Application, rita: Account, second_reviewer: Account, manager: Account
) -> None:
    for late in (second_reviewer, manager):
        refusal = refusal_of(
            services.decide,
            approved.pk,
            seen=seen_now(approved.pk),
            actor=late,
            approve=False,
            reason="No.",
        )
        assert refusal.code == Code.CONFLICT
        assert rita.name in refusal.detail
    again = refusal_of(
        services.decide, approved.pk, seen=seen_now(approved.pk), actor=rita, approve=True
    )
    assert again.code == Code.CONFLICT
    assert "by you" in again.detail
    assert again.since == approved.decided_at
    assert Grant.objects.count() == 1
    assert OutgoingMail.objects.filter(template__startswith="application_").count() == 2


def test_a_reviewer_does_not_decide_what_another_claimed(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    refusal = refusal_of(
        services.decide,
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=second_reviewer,
        approve=True,
    )
    assert refusal.code == Code.CONFLICT
    assert rita.name in refusal.detail
    assert len(denials(in_review)) == 1


def test_nobody_reviews_their_own_application(
    rita: Account, release: Release, second_reviewer: Account
) -> None:
    Affiliation.objects.create(
        account=rita, category="academia", institution="U", country="NL", position="Dr"
    )
    own = services.start(actor=rita, releases=[release], answers=ANSWERS)
    services.submit(own.pk, actor=rita, typed_name=rita.name)
    refusal = refusal_of(services.claim, own.pk, actor=rita)
    assert refusal.code == Code.NOT_ALLOWED
    services.claim(own.pk, actor=second_reviewer)
    for act in (
        lambda: services.decide(own.pk, seen=seen_now(own.pk), actor=rita, approve=True),
        lambda: services.release(own.pk, actor=rita),
        lambda: services.return_for_correction(
            own.pk, seen=seen_now(own.pk), actor=rita, message="m"
        ),
    ):
        assert refusal_of(act).code == Code.NOT_ALLOWED
    assert [event.actor for event in denials(own)] == [rita] * 4
    assert (
        services.decide(own.pk, seen=seen_now(own.pk), actor=second_reviewer, approve=True).state
        == State.APPROVED
    )


def test_a_reviewer_who_lost_the_role_decides_nothing(
    in_review: Application, rita: Account
) -> None:
    rita.groups.clear()
    refusal = refusal_of(
        services.decide, in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True
    )
    assert refusal.code == Code.NOT_FOUND


# ---- Renewal: grants are brought to what they should be ------------------------------------------


def approve_again(
    alice: Account, rita: Account, releases: list[Release], **terms: object
) -> Application:
    application = services.start(actor=alice, releases=releases, answers=ANSWERS)
    services.submit(application.pk, actor=alice, typed_name=alice.name)
    services.claim(application.pk, actor=rita)
    return services.decide(
        application.pk, seen=seen_now(application.pk), actor=rita, approve=True, **terms
    )  # type: ignore[arg-type]


def test_a_second_approval_renews_the_running_grant_and_issues_the_missing_one(
    grant: Grant, alice: Account, rita: Account, release: Release
) -> None:
    other = another_release(release, "33b")
    end = timezone.now() + timedelta(days=700)
    second = approve_again(alice, rita, [release, other], ends_at=end)
    grant.refresh_from_db()
    assert (grant.ends_at, grant.application) == (end, second)
    assert verbs(grant) == [Verb.GRANT_ISSUED, Verb.GRANT_RENEWED]
    assert Grant.objects.filter(account=alice).count() == 2
    renewed = Event.objects.get(verb=Verb.GRANT_RENEWED)
    assert renewed.data["before"]["tier"] == "weights"


def test_a_renewal_takes_back_no_newer_acceptance(
    grant: Grant, alice: Account, rita: Account, release: Release
) -> None:
    """She accepted the new text for her grant while her second application was under review."""
    second = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.submit(second.pk, actor=alice, typed_name=alice.name)
    newer = LicenceVersion.objects.create(
        licence=release.family.licence, number=2, text="Two.", standing_grants="suspend"
    )
    services.accept_licence(grant.pk, actor=alice, typed_name=alice.name)
    assert selectors.grant_for(alice, release) == grant
    services.claim(second.pk, actor=rita)
    services.decide(second.pk, seen=seen_now(second.pk), actor=rita, approve=True)
    assert selectors.grant_for(alice, release).acceptance.licence_version == newer


def test_a_second_approval_lifts_no_suspension(
    grant: Grant, alice: Account, rita: Account, manager: Account, release: Release
) -> None:
    services.suspend(grant.pk, actor=manager, reason="Under inquiry.")
    approve_again(alice, rita, [release])
    assert Grant.objects.get().status == Grant.Status.SUSPENDED
    with pytest.raises(Refusal):
        selectors.grant_for(alice, release)


def test_after_a_revocation_a_new_approval_is_a_new_grant(
    grant: Grant, alice: Account, rita: Account, manager: Account, release: Release
) -> None:
    services.revoke(grant.pk, actor=manager, reason="Shared the link.")
    approve_again(alice, rita, [release])
    grant.refresh_from_db()
    assert grant.status == Grant.Status.REVOKED
    assert selectors.grant_for(alice, release).pk != grant.pk


# ---- The queue -----------------------------------------------------------------------------------


def test_the_queue_counts_those_who_came_before(
    submitted: Application, rita: Account, applied_by: object
) -> None:
    bob, carol = applicant("bob"), applicant("carol")
    second, third = applied_by(bob), applied_by(carol)  # type: ignore[operator]
    assert [selectors.queue_position(one) for one in (submitted, second, third)] == [1, 2, 3]
    assert list(selectors.review_queue(rita)) == [submitted, second, third]
    services.claim(submitted.pk, actor=rita)
    assert selectors.queue_position(third) == 3
    services.decide(
        submitted.pk, seen=seen_now(submitted.pk), actor=rita, approve=False, reason="No."
    )
    assert selectors.queue_position(third) == 2
    submitted.refresh_from_db()
    assert selectors.queue_position(submitted) is None


def test_the_time_to_decision_is_said_only_when_there_are_enough_decisions(
    applied_by: object,
) -> None:
    now = timezone.now()
    for number in range(5):
        assert selectors.time_to_decision() is None
        made = applied_by(applicant(f"p{number}"), until="approved")  # type: ignore[operator]
        made.reviews.update(closed_at=now, days=number + 1)
    assert selectors.time_to_decision() == selectors.Times(pytest.approx(3.0), pytest.approx(4.6))
    Review.objects.update(closed_at=now - timedelta(days=100))
    assert selectors.time_to_decision() is None
