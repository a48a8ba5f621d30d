"""Celery's side of the upkeep, and Beat's sign of life for the state of the site."""

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from portal import upkeep
from portal.state import HEARTBEAT


@shared_task(name="portal.heartbeat")
def heartbeat() -> None:
    """Beat, every 15 seconds; it arrives only when Beat, Redis and a worker all work."""
    cache.set(HEARTBEAT, timezone.now(), None)


@shared_task(name="portal.keep_statistics")
def keep_statistics() -> None:
    """Beat, every hour."""
    upkeep.keep_statistics()
