"""What becomes of grants: issued with a decision, revoked, suspended, reinstated, re-accepted,
ended.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from access_requests.models import (
    Application,
    AutomaticRule,
    CoApplicant,
    Grant,
    LicenceAcceptance,
    Tier,
)
from access_requests.services.acts import (
    act_on_grant,
    locked_grant,
    no_such_grant,
    recorded,
    required_text,
)
from access_requests.services.licences import accept
from access_requests.workflow import GrantAction
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.mail.services import send
from portal.refusals import Code, Refusal


def bring_grants(
    application: Application,
    releases: Iterable[Release],
    *,
    tier: Tier,
    ends_at: datetime,
    actor: Account,
    rule: AutomaticRule | None = None,
) -> None:
    """Bring the applicant's grants to what the approval says, inside the caller's transaction.

    Should-be minus is becomes new grants. Where one still runs its terms become the new ones, so
    that
    there is never a second door beside it; a suspension stays, for lifting it is a manager's act.
    """
    now = timezone.now()
    wanted = {release.pk: release for release in releases}
    running = {
        grant.release_id: grant
        for grant in Grant.objects.select_for_update()
        .filter(account=application.applicant, release__in=wanted, ends_at__gt=now)
        .exclude(status=Grant.Status.REVOKED)
    }
    record(
        Verb.APPLICATION_APPROVED,
        application,
        actor=actor,
        tier=str(tier),
        ends_at=ends_at.isoformat(),
        releases=[release.repo_id for release in wanted.values()],
        **({"rule": rule.pk} if rule else {}),
    )
    for key in wanted.keys() - running.keys():
        _issue(application, wanted[key], tier=tier, ends_at=ends_at, actor=actor)
    for grant in running.values():
        _renew(grant, application, tier=tier, ends_at=ends_at, actor=actor)
    _bring_grants_of_coapplicants(
        application, [(release, tier, ends_at) for release in wanted.values()], actor=actor
    )


Terms = list[tuple[Release, str, datetime]]


def _bring_grants_of_coapplicants(
    application: Application, terms: Terms, *, actor: Account
) -> None:
    """Everybody who joined before the decision is decided with it; who joins later is not."""
    joined = application.coapplicants.select_for_update().filter(status=CoApplicant.Status.JOINED)
    for member in joined:
        member.status = CoApplicant.Status.ADMITTED
        member.decided_at, member.decided_by = timezone.now(), actor
        member.save(update_fields=["status", "decided_at", "decided_by"])
        admit_with_grants(member, terms, actor=actor)


def admit_with_grants(member: CoApplicant, terms: Terms, *, actor: Account) -> None:
    """Issue a co-applicant's own grants, inside the caller's transaction, and tell them.

    They stand beside grants that the person holds by other applications, so that leaving this one
    ends these and no others. Where one of those is suspended, none is issued: it would open a door
    past the suspension.
    """
    assert member.account is not None
    assert member.acceptance is not None
    suspended = set(
        Grant.objects.filter(
            account=member.account, status=Grant.Status.SUSPENDED, ends_at__gt=timezone.now()
        ).values_list("release_id", flat=True)
    )
    record(Verb.MEMBER_ADMITTED, member.application, actor=actor, member=member.pk)
    grants = [
        _issue(
            member.application,
            release,
            tier=Tier(tier),
            ends_at=ends_at,
            actor=actor,
            holder=(member.account, member.acceptance),
        )
        for release, tier, ends_at in terms
        if release.pk not in suspended
    ]
    send("coapplicant_admitted", to=member.account, member=member, grants=grants)


def revoke_with_place(application: Application, account: Account, *, actor: Account) -> list[Grant]:
    """Revoke the grants that a co-applicant holds by this application, inside the caller's
    transaction.
    """
    held = Grant.objects.select_for_update().filter(application=application, account=account)
    ended = list(held.exclude(status=Grant.Status.REVOKED))
    for grant in ended:
        reason = f"You are no longer a co-applicant of {application.reference}."
        _change_status(grant, Grant.Status.REVOKED, actor, reason)
        record(Verb.GRANT_REVOKED, grant, actor=actor, account=account.pk)
    return ended


def _issue(
    application: Application,
    release: Release,
    *,
    tier: Tier,
    ends_at: datetime,
    actor: Account,
    holder: tuple[Account, LicenceAcceptance] | None = None,
) -> Grant:
    """`holder`: the person and what they accepted; the applicant if not given."""
    account, acceptance = holder or (application.applicant, application.acceptance)
    assert acceptance is not None, "an application is submitted with an accepted licence"
    grant = Grant.objects.create(
        account=account,
        release=release,
        application=application,
        acceptance=acceptance,
        tier=tier,
        starts_at=timezone.now(),
        ends_at=ends_at,
    )
    record(
        Verb.GRANT_ISSUED,
        grant,
        actor=actor,
        account=account.pk,
        release=release.repo_id,
        application=application.pk,
        **_text(grant.acceptance),
        tier=str(tier),
        starts_at=grant.starts_at.isoformat(),
        ends_at=ends_at.isoformat(),
    )
    return grant


def _text(acceptance: LicenceAcceptance) -> dict[str, object]:
    """What an event says of the text that a grant stands under from now on."""
    return {
        "acceptance": acceptance.pk,
        "licence_version": acceptance.licence_version_id,
        "text_sha256": acceptance.text_sha256,
    }


def _renew(
    grant: Grant, application: Application, *, tier: Tier, ends_at: datetime, actor: Account
) -> None:
    assert application.acceptance is not None
    before = {
        "tier": grant.tier,
        "ends_at": grant.ends_at.isoformat(),
        "application": grant.application_id,
        "acceptance": grant.acceptance_id,
    }
    grant.tier, grant.ends_at = tier, ends_at
    grant.application = application
    if _is_newer(application.acceptance, than=grant.acceptance):
        grant.acceptance = application.acceptance
    grant.save(update_fields=["tier", "ends_at", "application", "acceptance"])
    record(
        Verb.GRANT_RENEWED,
        grant,
        actor=actor,
        application=application.pk,
        account=grant.account_id,
        **_text(grant.acceptance),
        tier=str(tier),
        ends_at=ends_at.isoformat(),
        before=before,
    )


def _is_newer(acceptance: LicenceAcceptance, *, than: LicenceAcceptance) -> bool:
    """The holder may have accepted a newer text while the application was under review."""
    new, old = acceptance.licence_version, than.licence_version
    return new.licence_id != old.licence_id or new.number >= old.number


def revoke(grant_id: int, *, actor: Account, reason: str) -> Grant:
    """End a grant for good: every door asks it at each use, so the next use is refused.

    Managers only.
    """
    with act_on_grant(grant_id, GrantAction.REVOKE, actor=actor) as (grant, to):
        reason = required_text(
            reason, field="reason", why="A revocation needs a reason, told to the holder."
        )
        _change_status(grant, to, actor, reason)
        record(Verb.GRANT_REVOKED, grant, actor=actor, account=grant.account_id)
        send("grant_revoked", to=grant.account, grant=grant)
    return grant


def suspend(grant_id: int, *, actor: Account, reason: str) -> Grant:
    """Close a grant until it is reinstated. Managers only."""
    with act_on_grant(grant_id, GrantAction.SUSPEND, actor=actor) as (grant, to):
        reason = required_text(
            reason, field="reason", why="A suspension needs a reason, told to the holder."
        )
        _change_status(grant, to, actor, reason)
        record(Verb.GRANT_SUSPENDED, grant, actor=actor, account=grant.account_id)
        send("grant_suspended", to=grant.account, grant=grant)
    return grant


def reinstate(grant_id: int, *, actor: Account, reason: str = "") -> Grant:
    """Open a suspended grant again. Managers only, and not one's own."""
    with act_on_grant(grant_id, GrantAction.REINSTATE, actor=actor) as (grant, to):
        _change_status(grant, to, actor, reason.strip())
        record(Verb.GRANT_REINSTATED, grant, actor=actor, account=grant.account_id)
        send("grant_reinstated", to=grant.account, grant=grant)
    return grant


def _change_status(grant: Grant, to: str, actor: Account, reason: str) -> None:
    grant.status = to
    grant.status_reason = reason
    grant.status_changed_at = timezone.now()
    grant.status_changed_by = actor
    grant.pending_again = False
    grant.save(
        update_fields=[
            "status",
            "status_reason",
            "status_changed_at",
            "status_changed_by",
            "pending_again",
        ]
    )


def accept_licence(
    grant_id: int, *, actor: Account, typed_name: str, text_sha256: str | None = None
) -> Grant:
    """Accept the current licence text for a grant, and with it for one's other grants under that
    licence.

    Raises Refusal: NOT_FOUND (another's grant), REVOKED, WRONG_STATE (accepted already), INVALID,
    LICENCE_CHANGED.
    """
    with recorded(Grant(pk=grant_id), "accept_licence", actor=actor):
        grant = locked_grant(grant_id)
        if grant.account_id != actor.pk:
            raise no_such_grant()
        current = grant.release.family.licence.current
        if grant.status == Grant.Status.REVOKED:
            raise Refusal(
                Code.REVOKED,
                "This grant was revoked; accepting a licence does not open it again.",
                "Apply again.",
                since=grant.status_changed_at,
            )
        if grant.acceptance.licence_version_id == current.pk:
            raise Refusal(
                Code.WRONG_STATE,
                "You have accepted the current version already.",
                "Nothing is left to do here.",
                since=grant.acceptance.accepted_at,
                url=reverse("access_requests:mine"),
            )
        grant.acceptance = accept(
            current, actor=actor, typed_name=typed_name, text_sha256=text_sha256
        )
        for one in _under_licence(grant).select_for_update():
            before = one.acceptance_id
            one.acceptance = grant.acceptance
            one.save(update_fields=["acceptance"])
            record(
                Verb.GRANT_REACCEPTED,
                one,
                actor=actor,
                account=one.account_id,
                **_text(one.acceptance),
                before={"acceptance": before},
            )
    return grant


def _under_licence(grant: Grant) -> "QuerySet[Grant]":
    licence = grant.release.family.licence
    standing = Grant.objects.exclude(status=Grant.Status.REVOKED)
    return standing.filter(account=grant.account, release__family__licence=licence)


def expire_grants() -> int:
    """Write down which grants ended, and tell their holders; say how many. It closes nothing.

    A grant ends by the clock alone, at every door, whether or not this sweep runs.
    """
    ended = Grant.objects.filter(
        ends_at__lte=timezone.now(), expiry_recorded_at=None, status=Grant.Status.ACTIVE
    )
    return sum(
        _record_expiry(pk) for pk in ended.order_by("ends_at").values_list("pk", flat=True)[:500]
    )


@transaction.atomic
def _record_expiry(grant_id: int) -> bool:
    grant = locked_grant(grant_id)
    if grant.expiry_recorded_at or grant.ends_at > timezone.now():
        return False  # another sweep, or a renewal, was quicker
    grant.expiry_recorded_at = timezone.now()
    grant.save(update_fields=["expiry_recorded_at"])
    record(Verb.GRANT_EXPIRED, grant, actor=None, account=grant.account_id)
    send("grant_ended", to=grant.account, grant=grant)
    return True
