"""`WEIGHBRIDGE_ENGINE=openai:<url>`: the worker hands its runs to another server.

Here that server is a second release of this site, so that every answer can be compared with what
its own engine says. tests/inference_sandbox/test_llama_server.py does the same with a foreign server.
"""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import close_old_connections
from pytest_django import Settings

from inference_sandbox import generation, services, stream, worker
from inference_sandbox.engine.request import FinishReason, PromptTooLong, SamplingParams
from inference_sandbox.foreign import ForeignRunner
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.tokens import tokenizer_of
from portal.catalog.models import Release
from tests.conformance.openai_server import EOS, Served, revoked
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store
from tests.inference_sandbox.conftest import give
from tests.waiting import until

pytestmark = pytest.mark.django_db


@pytest.fixture
def behind(served: Served, settings: Settings) -> Iterator[Release]:
    """A release that alice may prompt, whose runs the site's other release answers."""
    settings.SANDBOX_ENGINE_URL = f"{served.url}/v1"
    settings.SANDBOX_ENGINE_MODEL = served.model
    settings.SANDBOX_ENGINE_KEY = served.key
    grant = give(served.alice, served.closed)
    worker.engines._drop()
    yield served.closed
    worker.engines._drop()
    Run.objects.filter(grant=grant).delete()
    grant.delete()


def asked(served: Served, release: Release, **more: Any) -> Run:
    values: dict[str, Any] = {"prompt": "Once upon", "max_tokens": 12, "temperature": 0.0, **more}
    return services.create_run(actor=served.alice, release=release, **values)


def answered(served: Served, release: Release, **more: Any) -> Run:
    """By the other server for the release behind; by the site's own worker for its own."""
    run = asked(served, release, **more)
    if release == served.closed:
        generation.execute(run.pk)
    until(lambda: Run.objects.get(pk=run.pk).is_over)
    run.refresh_from_db()
    return run


def tokens_of(run: Run) -> list[int]:
    return [e.data["t"] for e in stream.tokens_so_far(run.pk) if e.data["t"] is not None]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 1.0, "seed": 11, "top_k": 40, "repetition_penalty": 1.3},
        {"temperature": 1.0, "seed": 12, "min_p": 0.05, "presence_penalty": 0.7},
        {"mode": "chat", "prompt": "Hello"},
        {"logit_bias": {str(EOS): 100}},
        {"prompt_ids": [5, 9, 200], "prompt": ""},
    ],
    ids=str,
)
def test_the_other_server_is_asked_the_same_and_its_answer_is_the_runs(
    served: Served, behind: Release, more: dict[str, Any]
) -> None:
    own, other = answered(served, served.release, **more), answered(served, behind, **more)
    assert (other.status, other.error) == ("finished", "")
    assert (other.output, other.finish_reason) == (own.output, own.finish_reason)
    assert tokens_of(other) == tokens_of(own)
    assert other.prompt_tokens == own.prompt_tokens
    assert "OpenAI" in other.engine
    assert served.model in other.engine


def test_a_stop_string_ends_it_before_the_string(served: Served, behind: Release) -> None:
    whole = answered(served, behind).output
    stopped = answered(served, behind, stop=[whole[4:6]])
    assert stopped.output == whole[: whole.index(whole[4:6])]
    assert stopped.finish_reason == "stop"


def test_what_the_model_thought_is_what_the_server_says(served: Served, behind: Release) -> None:
    asked = {"logprobs": 3, "prompt_logprobs": 2, "prompt": "Zoë"}
    own, other = answered(served, served.release, **asked), answered(served, behind, **asked)
    mine, theirs = (RunTokens.objects.get(run=run) for run in (own, other))

    for our, other_record in zip(
        mine.prompt + mine.output, theirs.prompt + theirs.output, strict=True
    ):
        assert other_record[:2] == our[:2]
        assert other_record[2] == pytest.approx(our[2], abs=1e-4)
        assert other_record[3] is None, "a server tells no entropy"
        for (token, _, logprob), (own_token, _, own_logprob) in zip(
            other_record[4], our[4], strict=False
        ):
            assert (token, logprob) == (own_token, pytest.approx(own_logprob, abs=1e-4))


def test_the_prompt_alone_is_read_for_no_tokens(served: Served, behind: Release) -> None:
    run = answered(served, behind, max_tokens=0, prompt_logprobs=1)
    assert (run.status, run.finish_reason, run.output) == ("finished", "length", "")
    assert len(RunTokens.objects.get(run=run).prompt) == run.prompt_tokens


def test_no_weights_are_fetched_and_no_torch_is_needed(served: Served, behind: Release) -> None:
    answered(served, behind)
    engine = worker.engines._loaded
    assert engine is not None
    assert isinstance(engine.runner, ForeignRunner)


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("SANDBOX_ENGINE_KEY", "wb_wrong", "refused (401)"),
        ("SANDBOX_ENGINE_MODEL", "demo/nothing", "does not exist"),
        ("SANDBOX_ENGINE_URL", "http://127.0.0.1:9/v1", "does not answer"),
    ],
)
def test_errors_of_the_server_end_the_run_with_their_cause(
    served: Served, behind: Release, settings: Settings, name: str, value: str, cause: str
) -> None:
    setattr(settings, name, value)
    run = answered(served, behind)
    assert (run.status, run.finish_reason) == ("failed", "error")
    assert cause in run.error
    assert served.key not in run.error


@pytest.fixture
def runner(served: Served, behind: Release) -> Iterator[ForeignRunner]:
    tokenizer = tokenizer_of(behind.revisions.get())
    made = ForeignRunner(f"{served.url}/v1", served.model, served.key, tokenizer, 1024)
    yield made
    made.stop()


def test_after_a_crash_it_goes_on_behind_what_is_there(runner: ForeignRunner) -> None:
    prompt, params = [5, 9, 200, 17], SamplingParams(max_tokens=10)
    whole = [o.token for o in runner.submit("a", prompt, params) if o.token is not None]
    assert len(whole) == 10
    rest = [o.token for o in runner.submit("b", prompt, params, whole[:6]) if o.token is not None]
    assert rest == whole[6:]
    over = list(runner.submit("c", prompt, params, whole))
    assert [(o.token, o.finish_reason) for o in over] == [(None, FinishReason.LENGTH)]


def test_a_prompt_that_is_too_long_is_refused_at_once(runner: ForeignRunner) -> None:
    with pytest.raises(PromptTooLong):
        runner.submit("a", [5] * 1024, SamplingParams())


def test_a_cancel_wakes_who_waits_and_the_server_is_left_alone(
    served: Served, runner: ForeignRunner
) -> None:
    outputs = runner.submit("a", [5, 9], SamplingParams(max_tokens=900, ignore_eos=True))
    next(outputs)
    threading.Timer(0.05, runner.cancel, ["a"]).start()
    *_, last = outputs
    assert last.finish_reason is FinishReason.CANCELLED
    runner.cancel("a")  # again, and after its end: nothing
    until(lambda: served.runs()[0].status == "cancelled", 30)


def test_the_end_of_the_worker_ends_what_is_open(runner: ForeignRunner) -> None:
    outputs = runner.submit("a", [5, 9], SamplingParams(max_tokens=900, ignore_eos=True))
    next(outputs)
    runner.stop()
    *_, last = outputs
    assert (last.finish_reason, last.error) == (FinishReason.ERROR, "The engine has been stopped.")


def test_a_grant_that_is_revoked_in_the_middle_ends_it(served: Served, behind: Release) -> None:
    run = asked(served, behind, max_tokens=900, ignore_eos=True)

    def work() -> None:
        generation.execute(run.pk)
        close_old_connections()

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: stream.tokens_so_far(run.pk))
    with revoked(served, run.grant_id):
        thread.join(60)
    run.refresh_from_db()
    assert (run.status, run.finish_reason) == ("failed", "refused")
