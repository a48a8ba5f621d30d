"""Celery's side of the upkeep."""

from celery import shared_task

from portal import upkeep


@shared_task(name="portal.keep_statistics")
def keep_statistics() -> None:
    """Beat, every hour."""
    upkeep.keep_statistics()
