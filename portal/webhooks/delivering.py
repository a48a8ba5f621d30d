"""Events leave in order, at least once. The next one is not sent before this one was received.

Seals give the order: every event gets into one, once, and seals have numbers without a gap, so an event that was
committed late comes later and none is passed over. Numbers are given as seals are taken, in one transaction with the
mark of how far they were taken; that row is what waits to be sent.

One deliverer at a time holds the lease of a subscription. It is longer than a request can take, and what came of a
request is written only while the lease is still one's own. A deliverer that dies between sending and writing leaves
the event where it was: the next one sends it again, under the same id.
"""

import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.audit.canonical import canonical, moment
from portal.audit.models import Event, SealedEvent, Verb
from portal.audit.sealing import last_seal
from portal.audit.services import record
from portal.mail.services import send as send_mail
from portal.webhooks import sending, services
from portal.webhooks.models import Attempt, Delivery, Subscription

LEASE = timedelta(seconds=60)  # of which a request takes at most about 40
SEALS_AT_ONCE = 8
FIRST_PAUSE, LONGEST_PAUSE = 5, 12 * 3600  # seconds
TELL_AFTER = timedelta(days=3)
KEEP = timedelta(days=90)
# Where the thing that an event is about can be read over REST.
SUBJECTS = {"access_requests.application": "api-application"}


def pause_after(failures: int) -> timedelta:
    """5 s after the first failure, then twice as long each time, up to 12 hours."""
    return timedelta(seconds=min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE))


def deliver(subscription_id: int, *, seconds: float = 20) -> int:
    """Send what waits until nothing does, one fails, or the time is up; say how many were received."""
    until = time.monotonic() + seconds
    lease = _take_lease(subscription_id)
    if not lease:
        return 0
    received = 0
    try:
        while time.monotonic() < until and (message := _next(subscription_id, lease)):
            answer = services.send(message.subscription, message.id, message.body)
            if not _write(message, answer, lease):
                break
            received += 1
    finally:
        Subscription.objects.filter(pk=subscription_id, lease=lease).update(
            lease="", leased_until=None
        )
    return received


def _take_lease(subscription_id: int) -> str:
    """Compare-and-set: of two deliverers one gets it. Empty when there is nothing to get."""
    now, lease = timezone.now(), secrets.token_hex(16)
    free = Subscription.objects.filter(
        Q(leased_until=None) | Q(leased_until__lte=now),
        pk=subscription_id,
        paused_at=None,
        next_attempt_at__lte=now,
    )
    return lease if free.update(lease=lease, leased_until=now + LEASE) else ""


@dataclass(frozen=True)
class Message:
    subscription: Subscription
    sequence: int
    verb: str
    body: bytes

    @property
    def id(self) -> str:
        return self.subscription.message_id(self.sequence)


@transaction.atomic
def _next(subscription_id: int, lease: str) -> Message | None:
    """What to send now, with the lease made new; None when nothing is due or the lease is lost."""
    now = timezone.now()
    one = Subscription.objects.select_for_update().filter(pk=subscription_id).first()
    if one is None or one.lease != lease or one.paused_at or one.next_attempt_at > now:
        return None
    while one.delivered == one.queued:
        if not _number_next(one):
            return None
    one.leased_until = now + LEASE
    one.save(update_fields=["leased_until"])
    due = one.deliveries.select_related("event__sealed").get(sequence=one.delivered + 1)
    return Message(one, due.sequence, due.event.verb, body_of(one, due.sequence, due.event))


def _number_next(one: Subscription) -> bool:
    """Give numbers to the events of the next seals, inside the caller's transaction; False at the end."""
    last = last_seal()
    if last is None or one.taken_seal >= last.number:
        return False
    upto = min(last.number, one.taken_seal + SEALS_AT_ONCE)
    events = SealedEvent.objects.filter(seal_id__gt=one.taken_seal, seal_id__lte=upto)
    if one.verbs:
        events = events.filter(event__verb__in=one.verbs)
    ids = events.order_by("seal_id", "position").values_list("event_id", flat=True)
    made = [
        Delivery(subscription=one, sequence=number, event_id=pk)
        for number, pk in enumerate(ids, one.queued + 1)
    ]
    Delivery.objects.bulk_create(made, batch_size=1000)
    one.queued += len(made)
    one.taken_seal = upto
    one.save(update_fields=["queued", "taken_seal"])
    return True


def body_of(one: Subscription, sequence: int, event: Event) -> bytes:
    """The same bytes for each attempt: an event never changes."""
    base = f"{settings.BASE_URL}{reverse('api-events')}"
    links = {
        "proof": f"{settings.BASE_URL}{reverse('api-event-proof', args=[event.pk])}",
        "history": f"{base}?subject_type={event.subject_type}&subject_id={event.subject_id}",
    }
    if name := SUBJECTS.get(event.subject_type):
        links["subject"] = f"{settings.BASE_URL}{reverse(name, args=[event.subject_id])}"
    return canonical(
        {
            "type": event.verb,
            "timestamp": moment(event.at),
            "subscription": str(one.public_id),
            "sequence": sequence,
            "data": {
                "event": event.pk,
                "actor": event.actor_id,
                "subject_type": event.subject_type,
                "subject_id": event.subject_id,
                "seal": event.sealed.seal_id,
                "data": event.data,
            },
            "links": links,
        }
    )


@transaction.atomic
def _write(message: Message, answer: sending.Answer, lease: str) -> bool:
    """Write down what came of it; say whether to go on with the next one."""
    one = Subscription.objects.select_for_update().filter(pk=message.subscription.pk).first()
    if one is None:  # ended meanwhile
        return False
    Attempt.objects.create(
        subscription=one,
        sequence=message.sequence,
        verb=message.verb,
        took_ms=answer.took_ms,
        status=answer.status,
        answer=answer.text,
        error=answer.error,
    )
    if one.lease != lease or one.delivered + 1 != message.sequence:
        return False  # too late: another delivers now, or a manager began anew from an earlier one
    now = timezone.now()
    if answer.is_ok:
        one.delivered = message.sequence
        one.failures, one.failing_since, one.told_at = 0, None, None
        one.save(update_fields=["delivered", "failures", "failing_since", "told_at"])
        return True
    one.failures += 1
    one.failing_since = one.failing_since or now
    one.next_attempt_at = now + pause_after(one.failures)
    one.save(update_fields=["failures", "failing_since", "next_attempt_at"])
    _tell_managers(one, answer, now)
    return False


def _tell_managers(one: Subscription, answer: sending.Answer, now: datetime) -> None:
    """Once, when it has failed for three days; it is tried on all the same."""
    if one.told_at or one.failing_since is None or now - one.failing_since < TELL_AFTER:
        return
    one.told_at = now
    one.save(update_fields=["told_at"])
    record(Verb.WEBHOOK_FAILING, one, actor=None, sequence=one.delivered + 1)
    managers = Account.objects.filter(is_active=True, groups__name=Role.MANAGER.value)
    for manager in managers.distinct().order_by("pk"):
        send_mail("webhook_failing", to=manager, subscription=one, error=answer.error)


def prune() -> int:
    """Forget deliveries and attempts that are older than 90 days; what still waits is kept."""
    before = timezone.now() - KEEP
    gone = 0
    for one in Subscription.objects.all():
        old = one.deliveries.filter(sequence__lte=one.delivered, queued_at__lt=before)
        gone += old.delete()[0]
        tried = one.attempts.filter(at__lt=before)
        gone += tried.delete()[0]
    return gone
