"""What reviewers do: claim, give back, return for correction, decide."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from access_requests import evidence
from access_requests.models import Application, Message, Review, State, Tier
from access_requests.services.acts import act, required_text
from access_requests.services.granting import bring_grants
from access_requests.workflow import Action
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.mail.services import send
from portal.refusals import Code, Refusal

DEFAULT_GRANT = timedelta(days=365)


def claim(application_id: int, *, actor: Account) -> Application:
    """Take an application to review it. Raises Refusal CONFLICT naming who was quicker."""
    with act(application_id, Action.CLAIM, actor=actor) as (application, to):
        application.state = to
        application.claimed_by = actor
        application.claimed_at = timezone.now()
        application.save(update_fields=["state", "claimed_by", "claimed_at", "updated_at"])
        Review.objects.create(application=application, reviewer=actor)
        record(Verb.APPLICATION_CLAIMED, application, actor=actor)
    return application


def release(application_id: int, *, actor: Account) -> Application:
    """Give a claim back, so that another reviewer can take it; a manager may do it for a
    reviewer.
    """
    with act(application_id, Action.RELEASE, actor=actor) as (application, to):
        holder = application.claimed_by_id
        application.state = to
        application.claimed_by = None
        application.claimed_at = None
        application.save(update_fields=["state", "claimed_by", "claimed_at", "updated_at"])
        _close_review(application, Review.Outcome.RELEASED)
        record(Verb.APPLICATION_RELEASED, application, actor=actor, holder=holder)
    return application


def return_for_correction(application_id: int, *, actor: Account, message: str) -> Application:
    """Ask the applicant to mend something.

    The claim is kept, and so are the answers as they were.
    """
    with act(application_id, Action.RETURN, actor=actor) as (application, to):
        message = required_text(message, field="message", why="Say what has to be mended.")
        Message.objects.create(
            application=application, author=actor, body=message, answers_before=application.answers
        )
        application.state = to
        application.save(update_fields=["state", "updated_at"])
        _close_review(application, Review.Outcome.RETURNED, reason=message)
        record(Verb.APPLICATION_RETURNED, application, actor=actor)
        send(
            "application_returned",
            to=application.applicant,
            application=application,
            message=message,
        )
    return application


def decide(
    application_id: int,
    *,
    actor: Account,
    approve: bool,
    reason: str = "",
    ends_at: datetime | None = None,
    releases: Iterable[Release] | None = None,
    tier: Tier = Tier.WEIGHTS,
) -> Application:
    """Approve or refuse a claimed application; once.

    `ends_at`: when the grants end, a year from now if not given. `releases`: some of those asked
    for;
    all that are not withdrawn if not given. A refusal needs a reason. Raises Refusal CONFLICT
    naming
    who decided before and when, INVALID, WITHDRAWN, WRONG_STATE.
    """
    action = Action.APPROVE if approve else Action.REFUSE
    with act(application_id, action, actor=actor) as (application, to):
        if approve:
            granted = _granted(application, releases)
            end = _end(ends_at)
        else:
            reason = required_text(
                reason, field="reason", why="A refusal needs a reason, told to the applicant."
            )
        snapshot = evidence.snapshot(application)
        _write_decision(application, to, actor, reason.strip())
        _close_review(
            application, Review.Outcome(str(to)), reason=reason.strip(), evidence=snapshot
        )
        if approve:
            bring_grants(application, granted, tier=Tier(tier), ends_at=end, actor=actor)
            _tell_approved(application, granted, tier=Tier(tier), ends_at=end)
        else:
            record(Verb.APPLICATION_REFUSED, application, actor=actor)
            send("application_refused", to=application.applicant, application=application)
    return application


def _write_decision(application: Application, to: State, actor: Account, reason: str) -> None:
    application.state = to
    application.decided_by = actor
    application.decided_at = timezone.now()
    application.decision_reason = reason
    application.save(
        update_fields=["state", "decided_by", "decided_at", "decision_reason", "updated_at"]
    )


def _tell_approved(
    application: Application, releases: list[Release], *, tier: Tier, ends_at: datetime
) -> None:
    send(
        "application_approved",
        to=application.applicant,
        application=application,
        releases=releases,
        tier=tier,
        ends_at=ends_at,
    )


def _granted(application: Application, wanted: Iterable[Release] | None) -> list[Release]:
    asked = {release.pk: release for release in application.releases.select_related("family")}
    if wanted is None:
        granted = [
            release for release in asked.values() if release.status != Release.Status.WITHDRAWN
        ]
    else:
        chosen = list(wanted)
        if others := [release.repo_id for release in chosen if release.pk not in asked]:
            text = f"Not asked for in this application: {', '.join(others)}."
            raise Refusal(
                Code.INVALID, text, "Choose among those asked for.", fields={"releases": [text]}
            )
        granted = [asked[release.pk] for release in chosen]
        if not granted:
            text = "Choose at least one release to grant."
            raise Refusal(Code.INVALID, text, "To grant none, refuse.", fields={"releases": [text]})
    gone = [release.name for release in granted if release.status == Release.Status.WITHDRAWN]
    if gone or not granted:
        names = ", ".join(gone) or "Every release of this application"
        raise Refusal(
            Code.WITHDRAWN,
            f"{names}: withdrawn by the publisher since.",
            "Grant the others, return the application, or refuse it with that reason.",
        )
    return granted


def _end(ends_at: datetime | None) -> datetime:
    now = timezone.now()
    end = ends_at or now + DEFAULT_GRANT
    if end <= now:
        text = "The end of a grant lies in the future."
        raise Refusal(Code.INVALID, text, "Choose a later day.", fields={"ends_at": [text]})
    return end


def _close_review(
    application: Application,
    outcome: Review.Outcome,
    *,
    reason: str = "",
    evidence: list[dict[str, str]] | None = None,
) -> None:
    application.reviews.filter(outcome=Review.Outcome.OPEN).update(
        outcome=outcome, reason=reason, evidence=evidence or [], closed_at=timezone.now()
    )
