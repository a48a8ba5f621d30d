"""Celery's side of webhooks."""

from celery import shared_task

from portal.webhooks import delivering, selectors


@shared_task(name="webhooks.deliver_due")
def deliver_due() -> None:
    """Beat, every five seconds: a task for each subscription with something to send."""
    for pk in selectors.due().values_list("pk", flat=True):
        # One that waited for a worker longer than this has been followed by others.
        deliver.apply_async(args=(pk,), expires=30)


@shared_task(name="webhooks.deliver")
def deliver(subscription_id: int) -> None:
    delivering.deliver(subscription_id)


@shared_task(name="webhooks.prune")
def prune() -> None:
    """Beat, every hour."""
    delivering.prune()
