"""Celery's side: one service call."""

from celery import shared_task

from access_requests import services


@shared_task(name="access_requests.expire_grants")
def expire_grants() -> None:
    """Beat, every five minutes."""
    services.expire_grants()
