"""Answering a run with real weights, in this process: what the worker's task does."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from django.db import close_old_connections

from access_requests.models import Grant
from distribution import services as publishing
from distribution.errors import StoreError
from distribution.stores import get_store
from inference_sandbox import generation, selectors, services, stream, tokens, worker
from inference_sandbox.models import Run
from inference_sandbox.stream import Kind, Writer
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt
from tests.inference_sandbox.engine.releases import tiny_weights
from tests.waiting import until

# The watching thread looks at committed rows.
pytestmark = pytest.mark.django_db(transaction=True)


def tokens_of(run: Run) -> list[int]:
    return [e.data["t"] for e in stream.tokens_so_far(run.pk) if e.data["t"] is not None]


def entries_of(run: Run, kind: Kind) -> list[Any]:
    raw = stream._client().xrange(f"wb:run:{run.pk}") or []
    return [entry for entry in map(stream._entry, raw) if entry.kind is kind]


@pytest.fixture
def in_background() -> Any:
    """Execute runs in threads, as the worker's pool does."""
    threads: list[threading.Thread] = []

    def start(run: Run) -> None:
        def work() -> None:
            try:
                generation.execute(run.pk)
            finally:
                close_old_connections()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(60)


Start = Callable[[Run], None]


@pytest.fixture
def nothing_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any) -> None:
    """A site and a worker that have everything still to fetch from the store."""
    settings.SANDBOX_CACHE = tmp_path / "cache"
    monkeypatch.setattr(worker, "engines", worker.Engines())
    tokens._load.cache_clear()


def test_a_run_is_answered_and_its_row_written(prompt: Prompt) -> None:
    run = prompt(max_tokens=12)
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.finish_reason, run.output_tokens) == ("finished", "length", 12)
    assert run.output == "".join(e.data["x"] for e in stream.tokens_so_far(run.pk))
    assert run.output
    assert len(tokens_of(run)) == 12
    assert run.engine.endswith("float32, cpu")
    assert all([run.tokens_per_second, run.started_at, run.finished_at])
    assert [e.data["status"] for e in entries_of(run, Kind.END)] == ["finished"]
    event = Event.objects.get(verb=Verb.RUN_FINISHED)
    assert event.subject_id == str(run.pk)
    assert run.output not in str(event.data)
    assert stream.leased([run.pk]) == set()


def test_a_run_that_is_over_is_not_run_again(prompt: Prompt) -> None:
    run = prompt()
    generation.execute(run.pk)
    before = stream.tokens_so_far(run.pk)
    generation.execute(run.pk)
    assert stream.tokens_so_far(run.pk) == before
    assert Event.objects.filter(verb=Verb.RUN_FINISHED).count() == 1


def test_a_run_in_other_hands_is_left_alone(prompt: Prompt) -> None:
    run = prompt()
    other = Writer.take(run.pk)
    assert other
    generation.execute(run.pk)
    run.refresh_from_db()
    assert run.status == Run.Status.QUEUED
    other.append(Kind.START)  # the lease is still the other's


def test_the_same_seed_gives_the_same_answer(prompt: Prompt) -> None:
    runs = [prompt(temperature=1.0, seed=seed, max_tokens=16) for seed in (5, 5, 6)]
    for run in runs:
        generation.execute(run.pk)
    first, again, other = (tokens_of(run) for run in runs)
    assert first == again
    assert first != other


def test_the_runs_of_one_worker_share_a_batch(prompt: Prompt, in_background: Start) -> None:
    alone = prompt(max_tokens=60)
    generation.execute(alone.pk)
    together = [prompt(max_tokens=60) for _ in range(3)]
    for run in together:
        in_background(run)
    for run in together:
        until(lambda run=run: Run.objects.get(pk=run.pk).is_over)
    assert all(tokens_of(run) == tokens_of(alone) for run in together)


def test_a_worker_that_takes_over_goes_on_behind_the_tokens_already_there(prompt: Prompt) -> None:
    whole, cut = prompt(max_tokens=40), prompt(max_tokens=40)
    generation.execute(whole.pk)
    # What a worker killed after 15 tokens leaves behind: a running row and a part of the stream.
    dead = Writer.take(cut.pk)
    assert dead
    dead.append(Kind.START)
    for entry in stream.tokens_so_far(whole.pk)[:15]:
        dead.append(Kind.TOKEN, **entry.data)
    Run.objects.filter(pk=cut.pk).update(status=Run.Status.RUNNING)
    dead.release()
    generation.execute(cut.pk)
    cut.refresh_from_db()
    whole.refresh_from_db()
    assert tokens_of(cut) == tokens_of(whole)
    assert cut.output == whole.output
    assert len(entries_of(cut, Kind.START)) == 1


def test_a_worker_killed_between_the_last_token_and_the_end_leaves_only_the_end_to_do(
    prompt: Prompt,
) -> None:
    run = prompt(max_tokens=8)
    dead = Writer.take(run.pk)
    assert dead
    dead.append(Kind.START)
    dead.append(Kind.TOKEN, t=5, x="a")
    dead.append(Kind.TOKEN, t=6, x="b", f="stop")
    dead.release()
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.finish_reason, run.output) == ("finished", "stop", "ab")
    assert tokens_of(run) == [5, 6]


def test_a_cancel_stops_a_running_answer_between_two_tokens(
    prompt: Prompt, alice: Account, in_background: Start
) -> None:
    run = prompt(max_tokens=900)
    in_background(run)
    until(lambda: len(tokens_of(run)) > 3)
    services.cancel(run.pk, actor=alice)
    services.cancel(run.pk, actor=alice)
    until(lambda: Run.objects.get(pk=run.pk).is_over)
    run.refresh_from_db()
    assert (run.status, run.finish_reason) == ("cancelled", "cancelled")
    assert 3 < run.output_tokens < 900
    assert run.output == "".join(e.data["x"] for e in stream.tokens_so_far(run.pk))
    assert Event.objects.filter(verb=Verb.RUN_CANCELLED).count() == 1
    assert len(entries_of(run, Kind.END)) == 1


def test_a_queued_run_is_cancelled_at_once_and_never_run(prompt: Prompt, alice: Account) -> None:
    run = prompt()
    assert services.cancel(run.pk, actor=alice).status == "cancelled"
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.output) == ("cancelled", "")
    assert [e.data["status"] for e in entries_of(run, Kind.END)] == ["cancelled"]


def test_a_run_whose_worker_died_is_cancelled_at_once_and_keeps_its_text(
    prompt: Prompt, alice: Account
) -> None:
    run = prompt()
    dead = Writer.take(run.pk)
    assert dead
    dead.append(Kind.TOKEN, t=5, x="half a ")
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    dead.release()
    run = services.cancel(run.pk, actor=alice)
    assert (run.status, run.output, run.output_tokens) == ("cancelled", "half a ", 1)


def test_nobody_cancels_the_run_of_another(prompt: Prompt, mallory: Account) -> None:
    run = prompt()
    with pytest.raises(Refusal) as refused:
        services.cancel(run.pk, actor=mallory)
    assert refused.value.code == Code.NOT_FOUND
    run.refresh_from_db()
    assert run.status == Run.Status.QUEUED


def take_away(grant: Grant) -> None:
    """What `access_requests.services.revoke` writes; that one is tested where it lives."""
    Grant.objects.filter(pk=grant.pk).update(
        status=Grant.Status.REVOKED, status_reason="Breach of the licence."
    )


def test_a_grant_revoked_in_the_middle_stops_the_answer(
    prompt: Prompt, grant: Grant, in_background: Start
) -> None:
    run = prompt(max_tokens=900)
    in_background(run)
    until(lambda: len(tokens_of(run)) > 3)
    take_away(grant)
    until(lambda: Run.objects.get(pk=run.pk).is_over)
    run.refresh_from_db()
    assert (run.status, run.finish_reason) == ("failed", "refused")
    assert "Breach of the licence." in run.error
    assert 3 < run.output_tokens < 900


def test_a_grant_revoked_while_the_run_waits_lets_it_not_begin(
    prompt: Prompt, grant: Grant
) -> None:
    run = prompt()
    take_away(grant)
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.finish_reason, run.output_tokens) == ("failed", "refused", 0)
    assert "Breach of the licence." in run.error


def test_weights_damaged_in_the_store_answer_nothing_and_say_so(
    prompt: Prompt, nothing_fetched: None, caplog: pytest.LogCaptureFixture
) -> None:
    run = prompt()
    artifact = run.revision.artifacts.get(path="consolidated.00.pth")
    path = get_store().local_path(artifact.store_key)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"not what was published")
    try:
        generation.execute(run.pk)
    finally:
        path.write_bytes(whole)
    run.refresh_from_db()
    assert (run.status, run.finish_reason) == ("failed", "error")
    assert "not as they were published" in run.error
    assert "SHA-256" in caplog.text
    assert artifact.sha256 in caplog.text
    assert artifact.sha256 not in run.error, "what a store says is for operators"


def test_a_store_that_is_away_refuses_a_prompt_in_words_for_its_person(
    prompt: Prompt, nothing_fetched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "The store `s3://weights` refused or did not answer: http://10.1.2.3:8333/weights"

    def away(*_: Any, **__: Any) -> None:
        raise StoreError(message)

    with monkeypatch.context() as patched:
        patched.setattr(type(get_store()), "fetch", away)
        with pytest.raises(Refusal, match="does not give the tokenizer of Tiny") as refused:
            prompt()
        assert refused.value.code is Code.UNAVAILABLE
        assert "10.1.2.3" not in f"{refused.value.detail} {refused.value.way_out}"
        assert not Run.objects.exists()
    run = prompt()
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "materialise", away)
        generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == ("failed", generation.NO_WEIGHTS)
    again = prompt()
    generation.execute(again.pk)
    again.refresh_from_db()
    assert again.status == "finished", "the store is back"


def test_a_run_that_kills_its_workers_is_given_up(prompt: Prompt) -> None:
    run = prompt()
    for _ in range(generation.MOST_ATTEMPTS):
        dead = Writer.take(run.pk)
        assert dead
        dead.count_attempt()
        dead.release()
    generation.execute(run.pk)
    run.refresh_from_db()
    assert run.status == "failed"
    assert "5 times" in run.error


def test_redis_away_in_the_middle_leaves_the_run_to_the_sweep(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompt()
    append = Writer.append

    def fail_at_a_token(self: Writer, kind: Kind, **data: Any) -> bool:
        if kind is Kind.TOKEN:
            raise stream.StreamDown
        return append(self, kind, **data)

    monkeypatch.setattr(Writer, "append", fail_at_a_token)
    with pytest.raises(stream.StreamDown):
        generation.execute(run.pk)
    monkeypatch.undo()
    run.refresh_from_db()
    assert run.status == "running"
    stream._client().delete(selectors.queue_of(run.release))  # its message was taken by the worker
    assert services.requeue_lost_runs() == 1
    assert stream.waiting(selectors.queue_of(run.release)) == {str(run.pk)}
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.output_tokens) == ("finished", 8)


def test_the_engine_of_a_new_revision_takes_the_place_of_the_old(
    prompt: Prompt, tiny: Release, weights: Path, tmp_path: Path
) -> None:
    waiting = prompt()
    newer = shutil.copytree(weights, tmp_path / "newer")
    torch.save(tiny_weights(seed=1), newer / "consolidated.00.pth")
    publishing.publish(newer, repo_id=tiny.repo_id, actor=None)
    tiny.refresh_from_db()
    latest = prompt()
    assert latest.revision != waiting.revision
    for run in (latest, waiting, latest):
        generation.execute(run.pk)
    # Each is answered by the weights that it was asked of.
    assert tokens_of(waiting) != tokens_of(latest)
    assert worker.engines.digest == waiting.revision.digest


def test_the_weights_of_the_loaded_engine_are_not_pruned(
    prompt: Prompt, nothing_fetched: None, settings: Any
) -> None:
    run = prompt()
    generation.execute(run.pk)
    cache, digest = worker.weights_cache(), run.revision.digest
    long_ago = time.time() - 100 * 24 * 3600
    os.utime(cache / f".{digest}.use", (long_ago, long_ago))
    worker.prune_cache()
    assert (cache / digest).is_dir()
    worker.engines._drop()
    os.utime(cache / f".{digest}.use", (long_ago, long_ago))
    worker.prune_cache()
    assert not (cache / digest).exists()
