"""The one way to a grant: every entry point that gives access ends in `issue_grant`.

Approvals, late co-applicants, renewals, automatic rules, appeals and the hub's API call it inside their own
transaction. It alone asks the rules, so that no entry point can skip one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from access_requests import selectors
from access_requests.models import (
    Application,
    AutomaticRule,
    CloseOut,
    CoApplicant,
    Grant,
    LicenceAcceptance,
    Tier,
)
from access_requests.services.acts import Denial
from access_requests.services.blocks import lock_block_list
from access_requests.workflow import Role
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.mail.services import send
from portal.refusals import Code, Refusal


@dataclass(frozen=True)
class Terms:
    """What a grant gives."""

    release: Release
    tier: Tier
    ends_at: datetime


@dataclass(frozen=True)
class Decision:
    """Who gives access, on which application.

    `application` is None for a grant that no application stands behind. `first`: who gave the first of two approvals.
    """

    actor: Account
    application: Application | None
    first: Account | None = None


def issue_grant(
    terms: Terms,
    *,
    holder: Account,
    acceptance: LicenceAcceptance | None,
    decision: Decision,
    extending: Grant | None = None,
    **cause: Any,
) -> Grant:
    """Issue a grant, or give the locked grant `extending` these terms, inside the caller's transaction.

    `cause` goes into the event. Raises Refusal: NOT_ALLOWED (a conflict of interest, too few approvals), BLOCKED,
    WITHDRAWN, EVIDENCE_MISSING, INVALID (it would run too long), LICENCE_CHANGED (no acceptance of the holder's own),
    REVOKED, WRONG_STATE (closed out; suspended).
    """
    lock_block_list(terms.release.family_id)
    check_may_issue(terms, holder=holder, decision=decision)
    _check_approvals(terms.release, decision)
    if acceptance is None or acceptance.account_id != holder.pk:
        raise Refusal(
            Code.LICENCE_CHANGED,
            f"{holder} has not accepted the licence of {terms.release.name}.",
            "Return the application, so that they accept it.",
        )
    if extending:
        _check_extendable(extending)
        return _extend(extending, terms, acceptance, decision, cause)
    if suspended_elsewhere(holder, [terms.release]):
        raise Refusal(
            Code.WRONG_STATE,
            f"{holder} holds a grant for {terms.release.name} that a manager suspended.",
            "Ask a manager to reinstate or to revoke that grant first.",
        )
    return _create(terms, holder, acceptance, decision)


def check_may_issue(terms: Terms, *, holder: Account, decision: Decision) -> None:
    """All that `issue_grant` asks but the number of approvals: a first of two approvals asks it too."""
    application, release = decision.application, terms.release
    check_decider(decision.actor, holder=holder, application=application)
    for account in {holder, application.applicant} if application else {holder}:
        selectors.check_not_blocked(account, release.family)
    if release.status == Release.Status.WITHDRAWN:
        raise Refusal(
            Code.WITHDRAWN,
            f"{release.name} was withdrawn by its publisher since.",
            "Refuse with that reason, or give access to other releases.",
        )
    if application:
        selectors.check_evidence(application, [release])
        if selectors.role_in(decision.actor, application) == Role.RULE and terms.tier != Tier.TRY:
            raise Refusal(
                Code.NOT_ALLOWED, "A rule opens the sandbox alone.", "A reviewer decides."
            )
    if terms.ends_at > (latest := selectors.latest_end([release])):
        text = f"A grant for {release.name} runs until {latest:%-d %B %Y} at the longest."
        raise Refusal(Code.INVALID, text, "Choose an earlier day.", fields={"ends_at": [text]})


def check_decider(actor: Account, *, holder: Account, application: Application | None) -> None:
    """Raises Refusal NOT_ALLOWED where this person may not decide on the holder's access."""
    if why := selectors.why_not_decider(actor, holder=holder, application=application):
        raise Denial(Code.NOT_ALLOWED, why, "Leave it to another reviewer.")


def is_first_approval(terms: Iterable[Terms], *, holder: Account, decision: Decision) -> bool:
    """Whether another person has to approve before access is given. Raises what would refuse the second approval."""
    asked = list(terms)
    if not any(_lacks_an_approval(one.release, decision) for one in asked):
        return False
    if decision.first == decision.actor:
        raise Denial(
            Code.NOT_ALLOWED,
            "You approved it already; the second approval is another person's.",
            "Leave it to another reviewer.",
        )
    for one in asked:
        check_may_issue(one, holder=holder, decision=decision)
    return True


def _lacks_an_approval(release: Release, decision: Decision) -> bool:
    given = {account.pk for account in (decision.actor, decision.first) if account}
    return len(given) < selectors.approvals_needed(decision.application, [release])


def _check_approvals(release: Release, decision: Decision) -> None:
    if _lacks_an_approval(release, decision):
        raise Refusal(
            Code.NOT_ALLOWED,
            f"Two different people have to approve access to {release.name}.",
            "Another reviewer gives the second approval.",
        )


def suspended_elsewhere(holder: Account, releases: Iterable[Release]) -> set[int]:
    """Those of the releases for which the person holds a suspended grant: none is issued beside it."""
    suspended = holder.grants.filter(
        release__in=[release.pk for release in releases],
        status=Grant.Status.SUSPENDED,
        ends_at__gt=timezone.now(),
    )
    return set(suspended.values_list("release_id", flat=True))


def _check_extendable(grant: Grant) -> None:
    if grant.status == Grant.Status.REVOKED:
        raise Refusal(
            Code.REVOKED,
            "The grant was revoked since.",
            "Refuse the renewal; the holder may apply again.",
            since=grant.status_changed_at,
        )
    if CloseOut.objects.filter(grant=grant).exists():
        raise Refusal(
            Code.WRONG_STATE,
            "The holder closed this grant, stating that the copies are destroyed.",
            "They may apply again.",
        )


def _create(
    terms: Terms, holder: Account, acceptance: LicenceAcceptance, decision: Decision
) -> Grant:
    grant = Grant.objects.create(
        account=holder,
        release=terms.release,
        application=decision.application,
        acceptance=acceptance,
        tier=terms.tier,
        starts_at=timezone.now(),
        ends_at=terms.ends_at,
    )
    record(
        Verb.GRANT_ISSUED,
        grant,
        actor=decision.actor,
        account=holder.pk,
        release=terms.release.repo_id,
        application=grant.application_id,
        **text_accepted(acceptance),
        tier=str(terms.tier),
        starts_at=grant.starts_at.isoformat(),
        ends_at=terms.ends_at.isoformat(),
    )
    return grant


def _extend(
    grant: Grant,
    terms: Terms,
    acceptance: LicenceAcceptance,
    decision: Decision,
    cause: dict[str, Any],
) -> Grant:
    """A suspension stays, for lifting it is a manager's act."""
    before = {
        "tier": grant.tier,
        "ends_at": grant.ends_at.isoformat(),
        "application": grant.application_id,
        "acceptance": grant.acceptance_id,
    }
    grant.tier, grant.ends_at = terms.tier, terms.ends_at
    grant.application = decision.application
    grant.expiry_recorded_at = None
    if _is_newer(acceptance, than=grant.acceptance):
        grant.acceptance = acceptance
    grant.save(update_fields=["tier", "ends_at", "application", "acceptance", "expiry_recorded_at"])
    record(
        Verb.GRANT_RENEWED,
        grant,
        actor=decision.actor,
        application=grant.application_id,
        account=grant.account_id,
        **text_accepted(grant.acceptance),
        tier=str(terms.tier),
        ends_at=terms.ends_at.isoformat(),
        before=before,
        **cause,
    )
    return grant


def text_accepted(acceptance: LicenceAcceptance) -> dict[str, object]:
    """What an event says of the text that a grant stands under from now on."""
    return {
        "acceptance": acceptance.pk,
        "licence_version": acceptance.licence_version_id,
        "text_sha256": acceptance.text_sha256,
    }


def _is_newer(acceptance: LicenceAcceptance, *, than: LicenceAcceptance) -> bool:
    """The holder may have accepted a newer text while the application was under review."""
    new, old = acceptance.licence_version, than.licence_version
    return new.licence_id != old.licence_id or new.number >= old.number


# ---- An application's approval, and its people ---------------------------------------------------


def issue_approved(
    application: Application,
    releases: Iterable[Release],
    *,
    tier: Tier,
    ends_at: datetime,
    actor: Account,
    rule: AutomaticRule | None = None,
) -> None:
    """Give the applicant and those who joined what the approval says, inside the caller's transaction.

    Where the applicant's own grant still runs its terms become the new ones, so that two never stand beside each other.
    A grant that they hold as a co-applicant of others is another's, and stays as it is.
    """
    wanted = list(releases)
    record(
        Verb.APPLICATION_APPROVED,
        application,
        actor=actor,
        tier=str(tier),
        ends_at=ends_at.isoformat(),
        releases=[release.repo_id for release in wanted],
        **({"rule": rule.pk} if rule else {}),
    )
    first = [one for one in selectors.endorsements(application) if one.reviewer_id != actor.pk]
    decision = Decision(actor, application, first[-1].reviewer if first else None)
    running = _own_running(application.applicant, wanted)
    for release in wanted:
        issue_grant(
            Terms(release, tier, ends_at),
            holder=application.applicant,
            acceptance=application.acceptance,
            decision=decision,
            extending=running.get(release.pk),
        )
    _admit_joined(decision, [Terms(release, tier, ends_at) for release in wanted])


def _own_running(account: Account, releases: list[Release]) -> dict[int, Grant]:
    own = Q(application=None) | Q(application__in=account.applications.all())
    running = Grant.objects.select_for_update().filter(
        own,
        account=account,
        release__in=[release.pk for release in releases],
        ends_at__gt=timezone.now(),
    )
    return {grant.release_id: grant for grant in running.exclude(status=Grant.Status.REVOKED)}


def _admit_joined(decision: Decision, terms: list[Terms]) -> None:
    """Who joined before the decision is decided with it; who joins later is not, nor who was blocked meanwhile: they
    wait for a reviewer, who tells them why.
    """
    application = decision.application
    assert application is not None
    joined = application.coapplicants.select_for_update().filter(status=CoApplicant.Status.JOINED)
    for member in joined:
        assert member.account is not None
        if not selectors.running_block(member.account, application.family):
            admit_with_grants(member, terms, decision=decision)


def admit_with_grants(member: CoApplicant, terms: list[Terms], *, decision: Decision) -> None:
    """Issue a co-applicant's own grants, inside the caller's transaction, and tell them.

    They stand beside grants that the person holds by other applications, so that leaving this one ends these and no
    others. Where one of those is suspended, none is issued: it would open a way past the suspension.
    """
    assert member.account is not None
    member.status = CoApplicant.Status.ADMITTED
    member.decided_at, member.decided_by = timezone.now(), decision.actor
    member.save(update_fields=["status", "decided_at", "decided_by"])
    record(Verb.MEMBER_ADMITTED, member.application, actor=decision.actor, member=member.pk)
    suspended = suspended_elsewhere(member.account, [one.release for one in terms])
    grants = [
        issue_grant(one, holder=member.account, acceptance=member.acceptance, decision=decision)
        for one in terms
        if one.release.pk not in suspended
    ]
    send("coapplicant_admitted", to=member.account, member=member, grants=grants)
