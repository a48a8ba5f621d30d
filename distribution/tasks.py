"""Celery's side: one service call."""

from celery import shared_task

from distribution.services import alarms


@shared_task(name="distribution.watch_downloads")
def watch_downloads() -> None:
    """Beat, every minute."""
    alarms.raise_due()
