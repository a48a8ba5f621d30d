"""Whatever dies or goes away in the middle: nothing hangs, no token comes twice, no slot is lost.

The workers are real processes, and it is real processes that are killed.
"""

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from django.conf import settings
from django.db import close_old_connections
from django.test import AsyncClient

from access_requests.models import Grant
from access_requests.services import revoke
from inference_sandbox import generation, quotas, selectors, services, stream
from inference_sandbox.engine.engine import Engine, SamplingParams
from inference_sandbox.engine.runner import EngineRunner
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.stream import Kind
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from tests.inference_sandbox.conftest import Prompt, celery_worker
from tests.inference_sandbox.own_redis import own_redis
from tests.inference_sandbox.reading import Event, hear
from tests.inference_sandbox.test_worker import LONG, follow
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def state(run: Run) -> str:
    return Run.objects.get(pk=run.pk).status


def answered(run: Run) -> Run:
    generation.execute(run.pk)
    return Run.objects.get(pk=run.pk)


def alone(prompt: Prompt, tiny: Release, **asked: Any) -> Run:
    """The undisturbed answer, made here; the worker need not look at it."""
    run = answered(prompt(**asked))
    stream._client().delete(selectors.queue_of(tiny))
    return run


def shown(run: Run) -> int:
    return len(stream.tokens_so_far(run.pk))


def entries(run: Run, kind: Kind) -> list[Any]:
    raw = stream._client().xrange(f"wb:run:{run.pk}") or []
    return [entry for entry in map(stream._entry, raw) if entry.kind is kind]


# ---- A worker dies -------------------------------------------------------------------------------


def test_what_was_thought_of_each_token_is_whole_though_the_worker_was_killed(
    prompt: Prompt, tiny: Release, grant: Grant, tmp_path: Path
) -> None:
    asked = {"max_tokens": LONG, "logprobs": 2, "prompt_logprobs": 1}
    undisturbed = alone(prompt, tiny, **asked)
    before = quotas.use_of(grant).used
    run = prompt(**asked)
    with celery_worker(tiny.slug, tmp_path / "log") as first:
        until(lambda: shown(run) > 20)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    with celery_worker(tiny.slug, tmp_path / "log"):
        until(lambda: not stream.leased([run.pk]))
        services.requeue_lost_runs()
        until(lambda: Run.objects.get(pk=run.pk).is_over)
    run.refresh_from_db()
    assert run.output_ids == undisturbed.output_ids
    whole, cut = (RunTokens.objects.get(run=one) for one in (undisturbed, run))
    assert [record[:2] for record in cut.output] == [record[:2] for record in whole.output]
    assert all(record and record[2] is not None and len(record[4]) == 2 for record in cut.output)
    assert [record[0] for record in cut.prompt] == [record[0] for record in whole.prompt]
    assert len(entries(run, Kind.PROMPT)) == 1
    assert quotas.use_of(grant).used == 2 * before, "charged once, though two workers were at it"


# ---- Redis goes away -----------------------------------------------------------------------------


def browser_like(account: Account, run: Run) -> Callable[[], list[Event]]:
    """As EventSource does: a stream that breaks off is taken up again behind the last id."""
    _, text = ApiToken.make(account, name="test", scopes=[str(Scope.SANDBOX)])
    heard: list[Event] = []

    def read() -> None:
        deadline = time.monotonic() + 120
        while not any(e.name == "end" for e in heard) and time.monotonic() < deadline:
            last = next((event.id for event in reversed(heard) if event.id), "")
            headers = {"authorization": f"Bearer {text}"} | (
                {"last-event-id": last} if last else {}
            )
            answer = hear(AsyncClient(), f"/api/v1/runs/{run.pk}/stream/", **headers)
            heard.extend(answer.events if answer.status == 200 else [])
            time.sleep(0.3)
        close_old_connections()

    thread = threading.Thread(target=read)
    thread.start()

    def result() -> list[Event]:
        thread.join(130)
        return heard

    return result


@contextmanager
def supervised_worker(slug: str, log: Path) -> Iterator[list[Any]]:
    """As compose and the demo keep one: where it has ended it is started again.

    Celery's worker ends when it loses Redis with a task in its hands.
    """
    over, started = threading.Event(), []
    with ExitStack() as stack:

        def keep() -> None:
            while not over.wait(0.2):
                if started[-1].poll() is not None:
                    started.append(stack.enter_context(celery_worker(slug, log)))

        started.append(stack.enter_context(celery_worker(slug, log)))
        thread = threading.Thread(target=keep)
        thread.start()
        try:
            yield started
        finally:
            over.set()
            thread.join(30)


def test_redis_killed_and_started_again_in_the_middle_ends_in_a_whole_answer(
    prompt: Prompt,
    tiny: Release,
    alice: Account,
    grant: Grant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed = alone(prompt, tiny, max_tokens=200)
    with own_redis(tmp_path, monkeypatch) as redis:
        run = prompt(max_tokens=200)
        reader = browser_like(alice, run)
        with supervised_worker(tiny.slug, tmp_path / "log") as workers:
            until(lambda: shown(run) > 20)
            redis.kill()
            time.sleep(2)
            assert state(run) == "running", "nobody can tell how it ended, so it has not"
            redis.start()

            def swept() -> bool:
                """Beat's task, every second instead of every 15."""
                time.sleep(1)
                services.requeue_lost_runs()
                return Run.objects.get(pk=run.pk).is_over

            until(swept)
            until(lambda: [w.running for w in stream.workers(tiny.slug)] == [0], 30)
            assert len(workers) <= 2
        heard = reader()
    run.refresh_from_db()
    assert (run.status, run.output_ids) == ("finished", undisturbed.output_ids)
    assert heard[-1].name == "end"
    begun = max(place for place, event in enumerate(heard) if event.name == "start")
    told = [json.loads(e.data)["id"] for e in heard[begun:] if e.name == "token"]
    assert told == undisturbed.output_ids, "what counts follows the last start, once"
    assert quotas.use_of(grant).reserved == 0


# ---- Revoked and cancelled -----------------------------------------------------------------------


def test_a_grant_revoked_in_the_middle_stops_a_real_worker_within_two_seconds(
    prompt: Prompt,
    tiny: Release,
    alice: Account,
    grant: Grant,
    manager: Account,
    tmp_path: Path,
) -> None:
    runs = [prompt(max_tokens=1000, ignore_eos=True, prompt="a" * 20) for _ in range(4)]
    readers = [follow(alice, run) for run in runs]
    with celery_worker(tiny.slug, tmp_path / "log"):
        until(lambda: all(shown(run) > 3 for run in runs))
        began = time.monotonic()
        revoke(grant.pk, actor=manager, reason="The project ended.")
        until(lambda: all(Run.objects.get(pk=run.pk).is_over for run in runs), 20)
        took = time.monotonic() - began
        heard = [reader() for reader in readers]
    cut = Run.objects.filter(status="failed")
    assert cut, "the worker was quicker than the revocation: give it more to do"
    assert took < 2
    for run in cut:
        assert run.finish_reason == "refused"
        assert "The project ended." in run.error
    ends = [json.loads(one.named("end")[0].data) for one in heard]
    assert any("The project ended." in end["error"] for end in ends)


def test_a_cancel_at_any_moment_ends_the_run_with_what_was_shown(
    prompt: Prompt, tiny: Release, alice: Account, grant: Grant, tmp_path: Path
) -> None:
    whole = alone(prompt, tiny, max_tokens=LONG).output_ids
    charged = quotas.use_of(grant).used
    with celery_worker(tiny.slug, tmp_path / "log"):
        until(lambda: any(worker.revision for worker in stream.workers(tiny.slug)))
        for moment in (None, 0, 1, 2, 3, 7, 20, 60):
            run = prompt(max_tokens=LONG)
            if moment is not None:
                until(lambda: bool(entries(run, Kind.START)) and shown(run) >= moment)  # noqa: B023
            services.cancel(run.pk, actor=alice)
            until(lambda: Run.objects.get(pk=run.pk).is_over, 20)  # noqa: B023
            run.refresh_from_db()
            assert (run.status, run.finish_reason) == ("cancelled", "cancelled"), moment
            assert run.output_ids == whole[: len(run.output_ids)], moment
            assert len(run.output_ids) >= (moment or 0)
            assert [entry.data["t"] for entry in stream.tokens_so_far(run.pk)] == run.output_ids
            if run.output_ids:
                charged += 5 + len(run.output_ids)
        until(lambda: stream.workers(tiny.slug)[0].running == 0, 20)
    assert charged <= quotas.use_of(grant).used <= charged + 2 * 5
    assert quotas.use_of(grant).reserved == 0


# ---- The engine ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=False)
def test_a_thousand_cancels_at_random_moments_leak_no_slot(weights: Path) -> None:
    torch.manual_seed(0)
    chance, slots = random.Random(5), 4
    runner = EngineRunner(Engine.load(weights, max_batch=slots, max_len=256))

    def one(number: int) -> None:
        params = SamplingParams(max_tokens=40, temperature=0.0, ignore_eos=True)
        outputs = runner.submit(f"r{number}", [1, *range(3, 3 + chance.randrange(1, 30))], params)
        stop_at = chance.choice((0, 0, 1, 2, 5, 10))
        for place, output in enumerate(outputs):
            if output.finish_reason is not None:
                return
            if place >= stop_at:
                if chance.random() < 0.5:
                    return  # leaves: the same as a cancel
                runner.cancel(f"r{number}")

    def many(start: int) -> None:
        for number in range(start, start + 125):
            one(number)

    threads = [threading.Thread(target=many, args=[start]) for start in range(0, 1000, 125)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive(), "something hangs"
    until(lambda: runner.load() == (0, 0, slots), 10)
    # And every slot still answers, all at the same time.
    params = SamplingParams(max_tokens=5, temperature=0.0, ignore_eos=True)
    answers = [runner.submit(f"after{n}", [1, 5, 9], params) for n in range(slots)]
    told = [[output.token for output in answer] for answer in answers]
    assert all(len(tokens) == 5 and tokens == told[0] for tokens in told)
    runner.stop(10)


def test_the_sign_of_a_worker_tells_its_slots_and_what_runs(
    prompt: Prompt, tiny: Release, alice: Account, tmp_path: Path
) -> None:
    with celery_worker(tiny.slug, tmp_path / "log"):
        until(lambda: any(worker.revision for worker in stream.workers(tiny.slug)))
        (sign,) = stream.workers(tiny.slug)
        assert (sign.device, sign.dtype, sign.running, sign.waiting) == ("cpu", "float32", 0, 0)
        assert sign.free == sign.slots == settings.SANDBOX_BATCH
        situation = selectors.situation(tiny)
        assert (situation.running, situation.slots, situation.waiting) == (0, sign.slots, 0)
    stream.announce(tiny.slug, stream.Worker("a", "f" * 40, "cuda", "bfloat16", 8, 3, 2))
    stream.announce(tiny.slug, stream.Worker("b", "f" * 40, "cuda", "bfloat16", 8, 8, 1))
    situation = selectors.situation(tiny)
    assert (situation.running, situation.slots, situation.waiting) == (11, 16, 3)
    assert [worker.free for worker in situation.workers] == [5, 0]
