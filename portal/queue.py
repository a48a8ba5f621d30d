"""One way to hand work to Celery."""

import logging
from typing import Any

from celery import Task
from django.db import transaction

log = logging.getLogger(__name__)


def enqueue_on_commit(task: Task, *args: Any, queue: str | None = None) -> None:
    """Send the task once the transaction is committed, so that the worker finds the row.

    A broker that is down must not turn a committed act into an error page: the row that the task is
    about is swept up later by Beat (`mail.deliver_due`, `sandbox.requeue_lost_runs`).
    """

    def send() -> None:
        try:
            options: dict[str, Any] = {"queue": queue} if queue else {}
            task.apply_async(args=args, **options)
        except Exception:
            log.exception(
                "%s%r was not handed to the broker; the sweep will find it", task.name, args
            )

    transaction.on_commit(send)
