"""Beat's sign of life, for the state of the site."""

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from portal.state import HEARTBEAT


@shared_task(name="portal.heartbeat")
def heartbeat() -> None:
    """Beat, every 15 seconds; it arrives only when Beat, Redis and a worker all work."""
    cache.set(HEARTBEAT, timezone.now(), None)
