"""A grant between its beginning and its end: reminders, renewal with a report of use, close-out."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.urls import reverse
from django.utils import timezone

from access_requests import selectors, versions
from access_requests.models import CloseOut, Grant, Reminder, Renewal, Tier
from access_requests.services.acts import (
    Denial,
    check_typed_name,
    locked_grant,
    no_such_grant,
    recorded,
    required_text,
)
from access_requests.services.deciding import check_parts
from access_requests.services.granting import end_now
from access_requests.services.issuance import (
    Decision,
    Terms,
    check_decider,
    is_first_approval,
    issue_grant,
)
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.mail.services import send
from portal.names import clean_name
from portal.refusals import Code, Refusal

REMIND_DAYS = (1, 7, 30)  # before the end; the tightest that fits is the one that is sent
STATEMENT = (
    "I have destroyed every copy of {release} that I made or received, with every file from which "
    "its weights could be recovered, on all machines and in all backups under my control. I know "
    "that my grant ends with this statement, and that I need a new one to use the release again."
)


@contextmanager
def _own_grant(grant_id: int, action: str, *, actor: Account) -> Iterator[Grant]:
    """The actor's own grant, locked, while it can still be renewed or closed out."""
    with recorded(Grant(pk=grant_id), action, actor=actor):
        grant = locked_grant(grant_id)
        if grant.account_id != actor.pk:
            raise no_such_grant()
        if grant.status == Grant.Status.REVOKED:
            raise Refusal(
                Code.REVOKED,
                "This grant was revoked.",
                "Apply again, if the reason is mended.",
                since=grant.status_changed_at,
            )
        if CloseOut.objects.filter(grant=grant).exists():
            raise Refusal(
                Code.WRONG_STATE,
                "You closed this grant yourself.",
                "Apply again to use the release again.",
                since=grant.ends_at,
                url=reverse("access_requests:mine"),
            )
        yield grant


def ask_renewal(
    grant_id: int,
    *,
    actor: Account,
    used_for: str,
    publications: str = "",
    derivatives: str = "",
) -> Renewal:
    """Ask that one's grant goes on, with a report of use. Before its end; one request at a time.

    Raises Refusal: NOT_FOUND (another's grant), REVOKED, BLOCKED, EXPIRED, WITHDRAWN, WRONG_STATE
    (asked already, closed out), INVALID.
    """
    with _own_grant(grant_id, "ask_renewal", actor=actor) as grant:
        selectors.check_not_blocked(actor, grant.release.family)
        _can_be_renewed(grant)
        renewal = Renewal.objects.create(
            grant=grant,
            used_for=required_text(
                used_for, field="used_for", why="Say what you used the release for."
            ),
            publications=publications.strip(),
            derivatives=derivatives.strip(),
            ends_at_before=grant.ends_at,
        )
        record(Verb.RENEWAL_ASKED, grant, actor=actor, renewal=renewal.pk)
        send("renewal_asked", to=actor, grant=grant)
    return renewal


def _can_be_renewed(grant: Grant) -> None:
    open_one = grant.renewals.filter(status=Renewal.Status.OPEN).first()
    if open_one:
        raise Refusal(
            Code.WRONG_STATE,
            "You have asked for this renewal already; nothing is lost.",
            "A reviewer decides on it; you are told by mail.",
            since=open_one.asked_at,
            url=reverse("access_requests:mine"),
        )
    if grant.release.status == Release.Status.WITHDRAWN:
        raise Refusal(
            Code.WITHDRAWN,
            f"{grant.release.name} was withdrawn by its publisher.",
            "See the catalogue for other releases of the family.",
            url=reverse("catalog:releases"),
        )
    if grant.ends_at <= timezone.now():
        again = reverse("access_requests:apply", args=[grant.release.family.slug])
        raise Refusal(
            Code.EXPIRED,
            f"This grant ended on {grant.ends_at:%-d %B %Y}; only one that still runs is renewed.",
            "Apply again: your old answers are a good start.",
            since=grant.ends_at,
            url=f"{again}?release={grant.release.slug}",
        )


@contextmanager
def _deciding(
    renewal_id: int, action: str, *, actor: Account, seen: str | None
) -> Iterator[tuple[Renewal, Grant]]:
    """An open renewal and its grant, locked. For reviewers without a conflict of interest.

    `seen`: the version that was on the screen; None for a caller without one. Raises Refusal CHANGED too.
    """
    with recorded(Renewal(pk=renewal_id), action, actor=actor):
        found = Renewal.objects.filter(pk=renewal_id).first()
        if found is None or not (roles.is_reviewer(actor) or found.grant.account_id == actor.pk):
            raise Denial(
                Code.NOT_FOUND,
                "There is no such renewal, or none that you may see.",
                "Check the address.",
            )
        check_decider(actor, holder=found.grant.account, application=found.grant.application)
        # The grant first, as in every other act: two acts on it wait for each other.
        grant = locked_grant(found.grant_id)
        renewal = Renewal.objects.select_for_update().get(pk=renewal_id)
        if renewal.status != Renewal.Status.OPEN:
            raise Refusal(
                Code.CONFLICT,
                f"This renewal was decided already: {renewal.get_status_display()} by "
                f"{renewal.decided_by or 'the close-out of its grant'}.",
                "That decision stands.",
                since=renewal.decided_at,
            )
        now = versions.parts_of_renewal(renewal, grant)
        check_parts("This renewal", seen, now, versions.RENEWAL_PARTS)
        yield renewal, grant


def approve_renewal(
    renewal_id: int, *, actor: Account, ends_at: datetime, seen: str | None = None
) -> Renewal:
    """Let the grant run until `ends_at`, with no new application. A suspension stays.

    Where two people have to approve, the first approval is written down and extends nothing. Raises Refusal: NOT_FOUND,
    CONFLICT (decided already), INVALID (a date that is not later, or later than the first approval's), and all that
    `issue_grant` raises.
    """
    with _deciding(renewal_id, "approve_renewal", actor=actor, seen=seen) as (renewal, grant):
        if ends_at <= max(timezone.now(), grant.ends_at):
            text = "A renewed grant ends later than now and than before."
            raise Refusal(Code.INVALID, text, "Choose a later day.", fields={"ends_at": [text]})
        terms = Terms(grant.release, Tier(grant.tier), ends_at)
        first = selectors.first_approval(renewal, grant.application)
        decision = Decision(actor, grant.application, first)
        if is_first_approval([terms], holder=grant.account, decision=decision):
            _endorse(renewal, grant, actor, ends_at)
            return renewal
        if first and renewal.first_approval_until and ends_at > renewal.first_approval_until:
            text = f"{first} approved until {renewal.first_approval_until:%-d %B %Y}, not longer."
            raise Refusal(
                Code.INVALID,
                text,
                "Choose that day, or an earlier one.",
                fields={"ends_at": [text]},
            )
        issue_grant(
            terms,
            holder=grant.account,
            acceptance=grant.acceptance,
            decision=decision,
            extending=grant,
            renewal=renewal.pk,
        )
        _decide(renewal, Renewal.Status.APPROVED, actor, "")
        send("renewal_approved", to=grant.account, grant=grant)
    return renewal


def _endorse(renewal: Renewal, grant: Grant, actor: Account, ends_at: datetime) -> None:
    """The first of two approvals: the grant runs no longer for it."""
    renewal.first_approval_by, renewal.first_approval_at = actor, timezone.now()
    renewal.first_approval_until = ends_at
    renewal.save(update_fields=["first_approval_by", "first_approval_at", "first_approval_until"])
    record(
        Verb.RENEWAL_ENDORSED, grant, actor=actor, renewal=renewal.pk, ends_at=ends_at.isoformat()
    )


def refuse_renewal(
    renewal_id: int, *, actor: Account, reason: str, seen: str | None = None
) -> Renewal:
    """The grant ends as it would have ended. A refusal needs a reason."""
    with _deciding(renewal_id, "refuse_renewal", actor=actor, seen=seen) as (renewal, grant):
        reason = required_text(
            reason, field="reason", why="A refusal needs a reason, told to the holder."
        )
        _decide(renewal, Renewal.Status.REFUSED, actor, reason)
        record(Verb.RENEWAL_REFUSED, grant, actor=actor, renewal=renewal.pk)
        send("renewal_refused", to=grant.account, grant=grant, reason=reason)
    return renewal


def _decide(renewal: Renewal, to: Renewal.Status, actor: Account | None, reason: str) -> None:
    renewal.status = to
    renewal.decided_by = actor
    renewal.decided_at = timezone.now()
    renewal.reason = reason
    renewal.save(update_fields=["status", "decided_by", "decided_at", "reason"])


def close_out(grant_id: int, *, actor: Account, typed_name: str, remarks: str = "") -> CloseOut:
    """End one's own grant at once, stating under one's name that every copy is destroyed.

    Possible after its end too, for then the copies are due. Raises Refusal: NOT_FOUND (another's
    grant), REVOKED, WRONG_STATE (closed already), INVALID (the name differs).
    """
    with _own_grant(grant_id, "close_out", actor=actor) as grant:
        check_typed_name(typed_name, actor)
        made = CloseOut.objects.create(
            grant=grant,
            statement=STATEMENT.format(release=grant.release.name),
            typed_name=clean_name(typed_name),
            remarks=remarks.strip(),
        )
        before = end_now(grant)
        for renewal in grant.renewals.filter(status=Renewal.Status.OPEN):
            _decide(renewal, Renewal.Status.REFUSED, None, "The holder closed the grant.")
        record(
            Verb.GRANT_CLOSED_OUT,
            grant,
            actor=actor,
            account=grant.account_id,
            ends_at=grant.ends_at.isoformat(),
            before={"ends_at": before.isoformat()},
        )
        send("grant_closed_out", to=actor, grant=grant, close_out=made)
    return made


def remind_holders() -> int:
    """Tell holders that their grants end soon; say how many were told.

    Each is told once for each of REMIND_DAYS. After missed runs the tightest is sent, and those
    that it overtook are not.
    """
    told, lower = 0, timedelta(0)
    for days in REMIND_DAYS:
        upper = timedelta(days=days)
        for pk in _to_remind(days, lower, upper):
            told += _remind(pk, days)
        lower = upper
    return told


def _to_remind(days: int, lower: timedelta, upper: timedelta) -> list[int]:
    now = timezone.now()
    told = Reminder.objects.filter(grant=OuterRef("pk"), ends_at=OuterRef("ends_at"), days=days)
    due = Grant.objects.filter(
        ~Exists(told),
        status=Grant.Status.ACTIVE,
        account__is_active=True,
        ends_at__gt=now + lower,
        ends_at__lte=now + upper,
        starts_at__lt=F("ends_at") - upper,  # a grant of five days is not reminded 30 days before
    ).exclude(release__status=Release.Status.WITHDRAWN)
    return list(due.order_by("ends_at").values_list("pk", flat=True)[:500])


@transaction.atomic
def _remind(grant_id: int, days: int) -> bool:
    grant = locked_grant(grant_id)
    now = timezone.now()
    if grant.status != Grant.Status.ACTIVE or not now < grant.ends_at <= now + timedelta(days=days):
        return False  # revoked, renewed or closed out meanwhile
    _, made = Reminder.objects.get_or_create(grant=grant, ends_at=grant.ends_at, days=days)
    if made:
        waiting = grant.renewals.filter(status=Renewal.Status.OPEN).exists()
        record(Verb.GRANT_REMINDED, grant, actor=None, account=grant.account_id, days=days)
        send("grant_ends_soon", to=grant.account, grant=grant, days=days, renewal_waits=waiting)
    return made
