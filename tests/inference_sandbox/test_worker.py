"""Real Celery workers on the real broker: up, killed in the middle of an answer, and followed."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import close_old_connections
from django.test import AsyncClient

from inference_sandbox import generation, selectors, services, stream
from inference_sandbox.models import Run
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from tests.inference_sandbox.conftest import Prompt, celery_worker
from tests.inference_sandbox.reading import Heard, hear
from tests.waiting import until

LONG = 500  # tokens: a few seconds of work

pytestmark = pytest.mark.django_db(transaction=True)


def follow(account: Account, run: Run) -> Any:
    """A reader of the run's stream, in a thread; call it for what it heard to the end."""
    _, text = ApiToken.make(account, name="test", scopes=[str(Scope.SANDBOX)])
    heard: list[Heard] = []

    def read() -> None:
        url = f"/api/v1/runs/{run.pk}/stream/"
        heard.append(hear(AsyncClient(), url, authorization=f"Bearer {text}"))
        close_old_connections()

    thread = threading.Thread(target=read)
    thread.start()

    def result() -> Heard:
        thread.join(120)
        return heard[0]

    return result


def tokens_of(heard: Heard) -> list[int]:
    return [json.loads(event.data)["id"] for event in heard.named("token")]


def test_an_answer_survives_the_death_of_its_worker_and_brings_each_token_once(
    prompt: Prompt, tiny: Release, alice: Account, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    undisturbed = prompt(max_tokens=LONG)
    generation.execute(undisturbed.pk)
    queue = selectors.queue_of(tiny)
    stream._client().delete(queue)  # it was answered here; the worker need not look at it

    run = prompt(max_tokens=LONG)
    assert selectors.situation(tiny).is_up is False
    reader = follow(alice, run)
    with celery_worker(tiny.slug, log) as first:
        until(lambda: len(stream.tokens_so_far(run.pk)) > 20)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    dead = {worker.node for worker in stream.workers(tiny.slug)}
    assert dead, "it was up, and could not say good-bye"
    left = len(stream.tokens_so_far(run.pk))
    run.refresh_from_db()
    assert (run.status, run.output) == ("running", "")
    assert 20 < left < LONG

    assert services.requeue_lost_runs() == 0, "the dead worker's lease still holds"
    with celery_worker(tiny.slug, log):
        until(lambda: not stream.leased([run.pk]))
        assert services.requeue_lost_runs() == 1
        until(lambda: Run.objects.get(pk=run.pk).is_over)
        heard = reader()
        second = {w.node for w in stream.workers(tiny.slug) if w.revision} - dead
        assert second
    run.refresh_from_db()
    undisturbed.refresh_from_db()
    whole = [entry.data["t"] for entry in stream.tokens_so_far(undisturbed.pk)]
    assert tokens_of(heard) == whole
    assert len(heard.named("start")) == len(heard.named("end")) == 1
    assert (run.status, run.output) == ("finished", undisturbed.output)
    # The second worker went down in good order, and said so.
    assert second.isdisjoint(worker.node for worker in stream.workers(tiny.slug))
    assert stream.waiting(queue) == set()
