"""What reviewers do: claim, give back, return for correction, decide."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from access_requests import selectors, workflow
from access_requests.models import Application, AutomaticRule, Message, Review, State, Tier
from access_requests.regions import region_of
from access_requests.services.acts import act, required_text
from access_requests.services.assigning import hand_to
from access_requests.services.deciding import deciding
from access_requests.services.issuance import Decision, Terms, check_may_issue, issue_approved
from access_requests.services.second_looks import draw
from access_requests.services.witnesses import cancel_witnesses
from access_requests.versions import Snapshot
from access_requests.workflow import Action, Role
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


def return_for_correction(
    application_id: int, *, actor: Account, seen: str | Snapshot, message: str
) -> Application:
    """Ask the applicant to correct something.

    The claim is kept, and so are the answers as they were. `seen`: as in `decide`.
    """
    with deciding(application_id, Action.RETURN, actor=actor, seen=seen) as (application, to, _):
        message = required_text(message, field="message", why="Say what has to be mended.")
        Message.objects.create(
            application=application,
            author=actor,
            body=message,
            is_return=True,
            answers_before=application.answers,
            affiliation_before=application.affiliation,
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
    seen: str | Snapshot,
    approve: bool,
    reason: str = "",
    ends_at: datetime | None = None,
    releases: Iterable[Release] | None = None,
    tier: Tier = Tier.WEIGHTS,
    checklist: Iterable[str] = (),
    apply_again_from: datetime | None = None,
    rule: AutomaticRule | None = None,
) -> Application:
    """Approve or refuse a claimed application; once.

    `seen`: the version that was on the decider's screen; where there is no screen, a snapshot read just now.
    `ends_at`: when the grants end, a year from now if not given. `releases`: some of those asked
    for; all that are not withdrawn if not given. `checklist`: the items that were ticked; an
    approval needs all. `apply_again_from`: after a refusal, when a new application is possible.
    Where two people have to approve, the first approval sends it back to the queue and grants
    nothing. `rule`: the automatic rule that approves, as `actor` its account; refused wherever a
    person has to look. A refusal needs a reason. Raises Refusal CONFLICT naming who decided before
    and when, CHANGED, INVALID, WITHDRAWN, BLOCKED, EVIDENCE_MISSING, WRONG_STATE.
    """
    if approve:
        return _approve(
            application_id,
            actor=actor,
            seen=seen,
            reason=reason.strip(),
            terms=Wanted(releases, Tier(tier), ends_at),
            ticked=list(checklist),
            rule=rule,
        )
    with deciding(application_id, Action.REFUSE, actor=actor, seen=seen) as (
        application,
        to,
        checks,
    ):
        reason = required_text(
            reason, field="reason", why="A refusal needs a reason, told to the applicant."
        )
        application.apply_again_from = _future(apply_again_from, "apply_again_from")
        asked = list(application.releases.all())
        _write_decision(application, to, actor, reason)
        _close_review(
            application,
            Review.Outcome.REFUSED,
            **_measured(application),
            reason=reason,
            evidence=checks,
            checklist=_ticks(asked, list(checklist)),
        )
        cancel_witnesses(application, actor=actor)
        record(Verb.APPLICATION_REFUSED, application, actor=actor)
        draw(application)
        send("application_refused", to=application.applicant, application=application)
    return application


@dataclass(frozen=True)
class Wanted:
    """What an approval is to give, as it was asked for."""

    releases: Iterable[Release] | None
    tier: Tier
    ends_at: datetime | None


def _approve(
    application_id: int,
    *,
    actor: Account,
    seen: str | Snapshot,
    reason: str,
    terms: Wanted,
    ticked: list[str],
    rule: AutomaticRule | None,
) -> Application:
    action = Action.APPROVE_BY_RULE if rule else Action.APPROVE
    with deciding(application_id, action, actor=actor, seen=seen) as (application, to, checks):
        granted = _granted(application, terms.releases)
        first = selectors.last_endorsement(application)
        end = _future(terms.ends_at, "ends_at") or _default_end(first, granted)
        for release in granted:
            check_may_issue(
                Terms(release, terms.tier, end),
                holder=application.applicant,
                decision=Decision(actor, application),
            )
        checked = _ticks(granted, ticked, all_of_them=True)
        closing: dict[str, Any] = {
            "reason": reason,
            "evidence": checks,
            "checklist": checked,
            "terms": _as_json(granted, terms.tier, end),
        }
        if rule is not None:
            _begin_review_of(rule, actor, application, granted, terms.tier, checks)
        if first is None and selectors.approvals_needed(application, granted) > 1:
            _endorse(application, actor, closing)
            return application
        if first is not None:
            _within(first, granted, terms.tier, end)
        application.apply_again_from = None
        _write_decision(application, to, actor, reason)
        _close_review(application, Review.Outcome.APPROVED, **_measured(application), **closing)
        cancel_witnesses(application, actor=actor)
        issue_approved(application, granted, tier=terms.tier, ends_at=end, actor=actor, rule=rule)
        draw(application)
        _tell_approved(application, granted, tier=terms.tier, ends_at=end, rule=rule)
    return application


def _default_end(first: Review | None, granted: list[Release]) -> datetime:
    """In a year; where somebody approved before, the end that they gave, as long as it lies ahead. Never later than
    the releases allow.
    """
    now = timezone.now()
    given = datetime.fromisoformat(first.terms["ends_at"]) if first else None
    wanted = given if given and given > now else now + DEFAULT_GRANT
    return min(wanted, selectors.latest_end(granted))


def _begin_review_of(
    rule: AutomaticRule,
    actor: Account,
    application: Application,
    granted: list[Release],
    tier: Tier,
    checks: list[dict[str, Any]],
) -> None:
    """The review that a rule's approval closes. Raises Refusal NOT_ALLOWED where a person has to
    look: asked here, on the locked row and the evidence that is kept, so that nothing slips past.
    """
    why = ""
    if rule not in selectors.rules_for(application) or actor.pk != rule.account_id:
        why = "The rule is not in force for it."
    why = why or selectors.why_no_rule(application, granted, tier)
    if why := why or selectors.evidence_misses(rule, checks):
        raise Refusal(Code.NOT_ALLOWED, why, "A reviewer decides.")
    Review.objects.create(application=application, reviewer=rule.account)


def _endorse(application: Application, actor: Account, closing: dict[str, Any]) -> None:
    """The first of two approvals: back to the queue, or to the colleague who was asked."""
    to = workflow.step(State(application.state), Action.ENDORSE, Role.CLAIMANT)
    application.state = to
    application.claimed_by = None
    application.claimed_at = None
    application.save(update_fields=["state", "claimed_by", "claimed_at", "updated_at"])
    _close_review(application, Review.Outcome.ENDORSED, **closing)
    record(Verb.APPLICATION_ENDORSED, application, actor=actor)
    if colleague := selectors.second_decider(application):
        hand_to(application, workflow.TRANSITIONS[to, Action.ASSIGN].to, colleague, actor=actor)


def _as_json(releases: list[Release], tier: Tier, ends_at: datetime) -> dict[str, Any]:
    names = [release.repo_id for release in releases]
    return {"releases": names, "tier": str(tier), "ends_at": ends_at.isoformat()}


def _within(first: Review, granted: list[Release], tier: Tier, ends_at: datetime) -> None:
    """Two people approve only what both approved. Raises Refusal INVALID."""
    wide = []
    if {release.repo_id for release in granted} - set(first.terms["releases"]):
        wide.append("releases")
    if tier == Tier.WEIGHTS and first.terms["tier"] == Tier.TRY:
        wide.append("tier")
    if ends_at > datetime.fromisoformat(first.terms["ends_at"]):
        wide.append("ends_at")
    if wide:
        text = f"{first.reviewer} approved less than that; the grant is what both of you approve."
        raise Refusal(
            Code.INVALID,
            text,
            "Choose the same or less, or return the application and begin again.",
            fields={field: [text] for field in wide},
        )


def _ticks(
    releases: list[Release], ticked: list[str], *, all_of_them: bool = False
) -> list[dict[str, Any]]:
    """The checklist as it is kept. Raises Refusal INVALID naming what an approval still needs."""
    items = selectors.checklist(releases)
    missing = [item for item in items if item not in ticked]
    if all_of_them and missing:
        text = f"Not ticked: {'; '.join(missing)}."
        raise Refusal(
            Code.INVALID,
            text,
            "Check each item, or return or refuse the application.",
            fields={"checklist": [text]},
        )
    return [{"item": item, "ticked": item in ticked} for item in items]


def _write_decision(application: Application, to: State, actor: Account, reason: str) -> None:
    application.state = to
    application.decided_by = actor
    application.decided_at = timezone.now()
    application.decision_reason = reason
    application.save(
        update_fields=[
            "state",
            "decided_by",
            "decided_at",
            "decision_reason",
            "apply_again_from",
            "updated_at",
        ]
    )


def _tell_approved(
    application: Application,
    releases: list[Release],
    *,
    tier: Tier,
    ends_at: datetime,
    rule: AutomaticRule | None,
) -> None:
    send(
        "application_approved",
        to=application.applicant,
        application=application,
        releases=releases,
        tier=tier,
        ends_at=ends_at,
        by_rule=rule is not None,
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


def _future(day: datetime | None, field: str) -> datetime | None:
    if day is not None and day <= timezone.now():
        text = "This day lies in the past."
        raise Refusal(Code.INVALID, text, "Choose a later day.", fields={field: [text]})
    return day


def _measured(application: Application) -> dict[str, Any]:
    """What the fairness page counts of a decision that was just written."""
    waited = selectors.waiting_time(application)
    return {
        "category": application.affiliation.get("category", ""),
        "region": region_of(application.affiliation.get("country", "")),
        "days": waited.total_seconds() / 86400 if waited is not None else None,
    }


def _close_review(application: Application, outcome: Review.Outcome, **values: Any) -> None:
    application.reviews.filter(outcome=Review.Outcome.OPEN).update(
        outcome=outcome, closed_at=timezone.now(), **values
    )
