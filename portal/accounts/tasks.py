"""Celery's side: one service call."""

from celery import shared_task

from portal.accounts import erasing


@shared_task(name="accounts.erase_due")
def erase_due() -> None:
    """Beat, every hour."""
    erasing.erase_due()
