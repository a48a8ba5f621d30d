"""What becomes of a grant once it is issued: revoked, suspended, reinstated, re-accepted, ended."""

from datetime import datetime

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from access_requests import selectors
from access_requests.models import Application, Grant
from access_requests.services.acts import (
    act_on_grant,
    locked_grant,
    no_such_grant,
    recorded,
    required_text,
)
from access_requests.services.issuance import check_decider, text_accepted
from access_requests.services.licences import accept
from access_requests.workflow import GrantAction
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import send
from portal.refusals import Code, Refusal


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


def suspend(grant_id: int, *, actor: Account, reason: str, pending_again: bool = False) -> Grant:
    """Close a grant until it is reinstated. Managers only.

    `pending_again`: it was set back to pending over the hub's API, where accepting it lifts the suspension.
    """
    with act_on_grant(grant_id, GrantAction.SUSPEND, actor=actor) as (grant, to):
        reason = required_text(
            reason, field="reason", why="A suspension needs a reason, told to the holder."
        )
        _change_status(grant, to, actor, reason, pending_again=pending_again)
        record(Verb.GRANT_SUSPENDED, grant, actor=actor, account=grant.account_id)
        send("grant_suspended", to=grant.account, grant=grant)
    return grant


def reinstate(grant_id: int, *, actor: Account, reason: str = "") -> Grant:
    """Open a suspended grant again. Managers only, and nobody with a conflict of interest.

    Raises Refusal: NOT_FOUND, NOT_ALLOWED, WRONG_STATE, BLOCKED.
    """
    with act_on_grant(grant_id, GrantAction.REINSTATE, actor=actor) as (grant, to):
        check_decider(actor, holder=grant.account, application=grant.application)
        selectors.check_not_blocked(grant.account, grant.release.family)
        _change_status(grant, to, actor, reason.strip())
        record(Verb.GRANT_REINSTATED, grant, actor=actor, account=grant.account_id)
        send("grant_reinstated", to=grant.account, grant=grant)
    return grant


def _change_status(
    grant: Grant, to: str, actor: Account, reason: str, *, pending_again: bool = False
) -> None:
    grant.status = to
    grant.status_reason = reason
    grant.status_changed_at = timezone.now()
    grant.status_changed_by = actor
    grant.pending_again = pending_again
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
        held = _locked_under_licence(grant_id, actor)
        grant = held[grant_id]
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
        accepted = accept(current, actor=actor, typed_name=typed_name, text_sha256=text_sha256)
        for one in held.values():
            if one.status == Grant.Status.REVOKED:
                continue
            before = one.acceptance_id
            one.acceptance = accepted
            one.save(update_fields=["acceptance"])
            record(
                Verb.GRANT_REACCEPTED,
                one,
                actor=actor,
                account=one.account_id,
                **text_accepted(accepted),
                before={"acceptance": before},
            )
    return grant


def _locked_under_licence(grant_id: int, actor: Account) -> dict[int, Grant]:
    """This grant and the actor's others under its licence, locked in the order of their keys.

    Found first, and locked by their keys alone: a lock across the joins would hold the catalogue's rows too, and
    PostgreSQL does not read joined rows again after waiting. Raises Refusal NOT_FOUND where it is another's.
    """
    own = Grant.objects.filter(account=actor)
    licence = own.filter(pk=grant_id).values("release__family__licence")
    keys = list(own.filter(release__family__licence__in=licence).values_list("pk", flat=True))
    if grant_id not in keys:
        raise no_such_grant()
    rows = Grant.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    return {row.pk: row for row in rows}


def end_now(grant: Grant) -> datetime:
    """The holder's locked grant ends now, inside the caller's transaction; when it would have ended."""
    now, before = timezone.now(), grant.ends_at
    grant.ends_at = min(before, now)
    grant.expiry_recorded_at = grant.expiry_recorded_at or now  # no second mail by the sweep
    grant.save(update_fields=["ends_at", "expiry_recorded_at"])
    return before


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
    if grant.status != Grant.Status.ACTIVE:
        return False  # revoked or suspended meanwhile: the holder knows, and why
    grant.expiry_recorded_at = timezone.now()
    grant.save(update_fields=["expiry_recorded_at"])
    record(Verb.GRANT_EXPIRED, grant, actor=None, account=grant.account_id)
    send("grant_ended", to=grant.account, grant=grant)
    return True
