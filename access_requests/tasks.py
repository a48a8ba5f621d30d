"""Celery's side: one service call."""

from celery import shared_task

from access_requests import services


@shared_task(name="access_requests.expire_grants")
def expire_grants() -> None:
    """Beat, every five minutes."""
    services.expire_grants()


@shared_task(name="access_requests.prepare_review")
def prepare_review(application_id: int) -> None:
    """After a submission: what is looked up elsewhere, and the automatic rules."""
    services.prepare_review(application_id)


@shared_task(name="access_requests.prepare_left_over")
def prepare_left_over() -> None:
    """Beat, every minute."""
    services.prepare_left_over()


@shared_task(name="access_requests.remind_holders")
def remind_holders() -> None:
    """Beat, every hour."""
    services.remind_holders()


@shared_task(name="access_requests.follow_up_witnesses")
def follow_up_witnesses() -> None:
    """Beat, every hour."""
    services.follow_up_witnesses()
