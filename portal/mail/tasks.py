"""Celery's side of the outbox: an id in, one service call."""

from celery import shared_task

from portal.mail import services


@shared_task(name="mail.deliver")
def deliver(mail_id: int) -> None:
    services.deliver(mail_id)


@shared_task(name="mail.deliver_due")
def deliver_due() -> None:
    """Beat, every 30 seconds: whatever is still waiting. Idempotent because `deliver` is."""
    for mail_id in services.waiting_ids():
        services.deliver(mail_id)
