"""What Celery may ask of the sandbox. No rule here."""

from uuid import UUID

from celery import shared_task

from inference_sandbox import generation, retention, services


@shared_task(name="sandbox.generate")
def generate(run_id: str) -> None:
    generation.execute(UUID(run_id))


@shared_task(name="sandbox.requeue_lost_runs")
def requeue_lost_runs() -> None:
    services.requeue_lost_runs()


@shared_task(name="sandbox.empty_old_runs")
def empty_old_runs() -> None:
    retention.empty_old_runs()
