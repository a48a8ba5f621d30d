"""Reads of webhooks."""

from collections.abc import Iterator

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from portal.audit.models import Verb
from portal.audit.sealing import last_seal
from portal.webhooks.models import Attempt, Subscription


def due() -> "QuerySet[Subscription]":
    """Those with something to send, that nobody sends now."""
    now = timezone.now()
    last = last_seal()
    has_work = Q(delivered__lt=F("queued")) | Q(taken_seal__lt=last.number if last else 0)
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    return Subscription.objects.filter(has_work, free, paused_at=None, next_attempt_at__lte=now)


def last_attempts(subscription: Subscription) -> "QuerySet[Attempt]":
    return subscription.attempts.order_by("-id")[:50]


def verb_groups() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """All verbs as choices, under the noun that they begin with."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for verb in Verb:
        groups.setdefault(verb.partition(".")[0], []).append((str(verb), str(verb)))
    yield from groups.items()
