"""Celery's side of the sealing."""

from celery import shared_task

from portal.audit import sealing


@shared_task(name="audit.seal")
def seal() -> None:
    """Beat, every five seconds: what came since the last seal."""
    sealing.seal_waiting(settle=sealing.SETTLE)


@shared_task(name="audit.seal_late")
def seal_late() -> None:
    """Beat, every minute: also what was committed after a later event was sealed."""
    sealing.seal_waiting(settle=sealing.SETTLE, late=True)
