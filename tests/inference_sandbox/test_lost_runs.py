"""The sweep: no run is lost, and none is handed over that is in good hands."""

from datetime import timedelta

import pytest
from django.test import TestCase
from django.utils import timezone

from inference_sandbox import selectors, services, stream
from inference_sandbox.models import Run
from inference_sandbox.stream import Writer
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.inference_sandbox.conftest import Prompt


@pytest.fixture
def run(prompt: Prompt) -> Run:
    """Queued a minute ago; the broker has forgotten it."""
    run = prompt()
    Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    return run


def sweep() -> int:
    with TestCase.captureOnCommitCallbacks(execute=True):
        return services.requeue_lost_runs()


def test_a_run_that_the_broker_forgot_is_handed_over_again_once(run: Run, tiny: Release) -> None:
    assert sweep() == 1
    assert stream.waiting(selectors.queue_of(tiny)) == {str(run.pk)}
    assert sweep() == 0, "it waits in the broker now"


def test_a_fresh_run_is_on_its_way_and_left_alone(prompt: Prompt) -> None:
    prompt()
    assert sweep() == 0


def test_a_running_run_without_a_worker_is_handed_over(prompt: Prompt) -> None:
    run = prompt()
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    assert sweep() == 1


def test_a_run_that_a_worker_holds_is_left_alone(run: Run) -> None:
    assert Writer.take(run.pk)
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    assert sweep() == 0


def test_a_run_that_is_over_is_left_alone(run: Run, alice: Account) -> None:
    services.cancel(run.pk, actor=alice)
    assert sweep() == 0
