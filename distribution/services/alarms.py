"""What a manager should look at: downloads under one grant that are not as usual."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from access_requests.models import Grant
from distribution.models import Alarm, Artifact, Download
from portal.accounts import roles
from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import send
from portal.refusals import Code, Refusal

Kind = Alarm.Kind
LEFT = Coalesce("bytes_sent", "bytes_asked")  # what left, or may have


@dataclass(frozen=True)
class Watched:
    """One kind of alarm. found: what is counted of a grant's rows in `hours`."""

    kind: str
    hours: int
    limit: int
    found: Count | Sum
    rows: Q


def raise_due() -> int:
    """Look at the last hours; say how many alarms were raised. One that stands is not raised again."""
    return sum(_raise(watched) for watched in _kinds())


@transaction.atomic
def dismiss(alarm_id: int, *, actor: Account, note: str) -> Alarm:
    """A manager looked at it. The same rows raise it no more. Raises Refusal NOT_ALLOWED, INVALID or WRONG_STATE."""
    if not roles.is_manager(actor):
        raise Refusal(
            Code.NOT_ALLOWED, "Only managers dismiss alarms.", "Ask a manager of this site."
        )
    if not note.strip():
        text = "Say what you found, for whoever looks next."
        raise Refusal(Code.INVALID, "A note is missing.", text, fields={"note": [text]})
    alarm = Alarm.objects.select_for_update().get(pk=alarm_id)
    if alarm.dismissed_at:
        raise Refusal(
            Code.WRONG_STATE, "This alarm was dismissed already.", "See its page for by whom."
        )
    alarm.dismissed_at, alarm.dismissed_by, alarm.note = timezone.now(), actor, note.strip()
    alarm.save(update_fields=["dismissed_at", "dismissed_by", "note"])
    record(Verb.ALARM_DISMISSED, alarm.grant, actor=actor, kind=alarm.kind, alarm=alarm.pk)
    return alarm


def _kinds() -> Iterable[Watched]:
    """Those that the settings have not turned off. A burst is measured in copies of the release."""
    denied = Q(outcome=Download.Outcome.DENIED)
    every = [
        Watched(
            Kind.NETWORKS,
            24,
            settings.ALARM_NETWORKS,
            Count("network", distinct=True),
            ~denied & ~Q(network=""),
        ),
        Watched(Kind.DENIALS, 1, settings.ALARM_DENIALS, Count("pk"), denied),
        Watched(Kind.BURST, 1, settings.ALARM_COPIES, Sum(LEFT), ~denied),
    ]
    return [watched for watched in every if watched.limit > 0]


def _raise(watched: Watched) -> int:
    window = timezone.now() - timedelta(hours=watched.hours)
    raised = 0
    sizes: dict[int, int] = {}
    for grant_id, release_id, found in _found(watched, window):
        limit = watched.limit
        if watched.kind == Kind.BURST:
            limit *= sizes.setdefault(release_id, _size(release_id))
        if (
            limit
            and found >= limit
            and (now := _since_dismissed(watched, grant_id, window)) >= limit
        ):
            raised += _sound(watched, grant_id, now, limit)
    return raised


def _found(watched: Watched, since: datetime) -> "QuerySet[Download, tuple[int, int, int]]":
    rows = Download.objects.filter(watched.rows, started_at__gte=since, grant__isnull=False)
    least = 1 if watched.kind == Kind.BURST else watched.limit
    counted = rows.order_by().values("grant").annotate(found=watched.found)
    return counted.filter(found__gte=least).values_list("grant", "grant__release", "found")


def _since_dismissed(watched: Watched, grant_id: int, window: datetime) -> int:
    """What is found after a manager last looked."""
    alarms = Alarm.objects.filter(grant=grant_id, kind=watched.kind, dismissed_at__gt=window)
    since = alarms.order_by("-dismissed_at").values_list("dismissed_at", flat=True).first()
    rows = Download.objects.filter(watched.rows, grant=grant_id, started_at__gte=since or window)
    return int(rows.order_by().aggregate(found=watched.found)["found"] or 0)


def _size(release_id: int) -> int:
    files = Artifact.objects.filter(revision__release=release_id, revision__is_current=True)
    return files.aggregate(size=Sum("size"))["size"] or 0


@transaction.atomic
def _sound(watched: Watched, grant_id: int, found: int, limit: int) -> int:
    grant = Grant.objects.select_for_update(no_key=True).get(pk=grant_id)
    if Alarm.objects.filter(grant=grant, kind=watched.kind, dismissed_at=None).exists():
        return 0
    alarm = Alarm.objects.create(grant=grant, kind=watched.kind, found=found, limit=limit)
    record(
        Verb.ALARM_RAISED,
        grant,
        actor=None,
        kind=watched.kind,
        found=found,
        limit=limit,
        alarm=alarm.pk,
    )
    managers = Account.objects.filter(is_active=True, groups__name=Role.MANAGER.value)
    for manager in managers.distinct().order_by("pk"):
        send("download_alarm", to=manager, alarm=alarm, grant=grant, hours=watched.hours)
    return 1
