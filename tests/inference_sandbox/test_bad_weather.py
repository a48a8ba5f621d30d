"""The sandbox where a part of it is away, or where somebody asks for too much."""

import json
import time
from collections.abc import Iterator

import pytest
from django.test import AsyncClient, Client, override_settings

from access_requests.models import Grant
from inference_sandbox import stream
from inference_sandbox.models import Run
from inference_sandbox.stream import Kind, Writer
from portal.accounts.models import Account, Scope
from portal.catalog.models import Release
from portal.celery import app
from tests.inference_sandbox.conftest import Prompt
from tests.inference_sandbox.reading import hear
from tests.inference_sandbox.test_api import RUNS, start, stream_of
from tests.people import signed_in, with_token

NOBODY = "redis://127.0.0.1:1/0"  # nothing listens there


@pytest.fixture
def redis_is_down(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For streams and for the broker."""
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.conf, "broker_url", NOBODY)
    stream._client.cache_clear()
    with override_settings(REDIS_URL=NOBODY):
        yield
    stream._client.cache_clear()
    app.amqp._producer_pool = None


def finished(run: Run) -> Run:
    Run.objects.filter(pk=run.pk).update(status="finished", finish_reason="stop", output="Paris.")
    return run


@pytest.mark.django_db(transaction=True)
def test_a_run_waits_while_redis_is_down_and_every_page_says_so(
    alice: Account, grant: Grant, tiny: Release, redis_is_down: None
) -> None:
    browser, program = signed_in(alice), with_token(alice, Scope.SANDBOX)
    began = time.monotonic()
    assert start(program, release=tiny.slug, prompt="Once").status_code == 201
    assert time.monotonic() - began < 5
    run = Run.objects.get()
    assert run.status == "queued"
    assert "not running" in browser.get("/sandbox/").text
    assert browser.get(f"/sandbox/runs/{run.pk}/").status_code == 200
    assert program.get(f"{RUNS}{run.pk}/").json()["status"] == "queued"
    assert browser.post(f"/sandbox/runs/{run.pk}/cancel/").status_code == 503
    assert program.post(f"{RUNS}{run.pk}/cancel/").json()["code"] == "unavailable"


@pytest.mark.django_db(transaction=True)
def test_the_stream_of_a_waiting_run_says_that_redis_is_down(
    alice: Account, prompt: Prompt, redis_is_down: None
) -> None:
    run = prompt()
    heard = stream_of(alice, run)
    assert (heard.status, json.loads(heard.body)["code"]) == (503, "unavailable")
    browser = AsyncClient()
    browser.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    assert hear(browser, f"/sandbox/runs/{run.pk}/stream/").status == 503


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_over_is_told_without_redis(
    alice: Account, prompt: Prompt, redis_is_down: None
) -> None:
    heard = stream_of(alice, finished(prompt()))
    assert json.loads(heard.named("token")[0].data)["text"] == "Paris."
    assert json.loads(heard.named("end")[0].data)["finish_reason"] == "stop"


def test_a_stream_that_breaks_off_ends_without_an_end(
    alice: Account, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader comes back with the last id that it saw."""
    run = prompt()
    writer = Writer.take(run.pk)
    assert writer
    writer.append(Kind.START)
    reading = stream.read

    async def breaking(*args: object, **kwargs: object) -> object:
        async for entry in reading(run.pk, stream.BEGINNING, wait=False):
            yield entry
        raise stream.StreamDown

    monkeypatch.setattr(stream, "read", breaking)
    heard = stream_of(alice, run)
    assert heard.status == 200
    assert [event.name for event in heard.events] == ["start"]


@pytest.mark.parametrize("odd", ["9" * 20, "18446744073709551616-0", "²", "0-x", "-1", "1-1-1"])
def test_an_odd_last_event_id_means_the_beginning(alice: Account, prompt: Prompt, odd: str) -> None:
    run = prompt()
    writer = Writer.take(run.pk)
    assert writer
    writer.append(Kind.TOKEN, t=1, x="a")
    finished(run)
    writer.append(Kind.END, status="finished", finish_reason="stop", error="")
    heard = stream_of(alice, run, **{"Last-Event-ID": odd})
    assert [event.name for event in heard.events] == ["token", "end"]


def test_a_prompt_of_megabytes_is_refused_before_it_is_tokenised(
    alice: Account, grant: Grant, tiny: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> list[int]:
        raise AssertionError("tokenised")

    monkeypatch.setattr("inference_sandbox.tokens.encode", never)
    answer = start(with_token(alice, Scope.SANDBOX), release=tiny.slug, prompt="a" * 2_000_000)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_long")
    assert "2,000,000 characters" in answer.json()["detail"]
    assert "maximum context length is 1024 tokens" in answer.json()["detail"]
    assert not Run.objects.exists()


def test_nul_in_the_name_of_a_release_finds_nothing(alice: Account, grant: Grant) -> None:
    assert signed_in(alice).get("/sandbox/?release=%00").status_code == 404
    assert signed_in(alice).get("/sandbox/?from=%00").status_code == 404
    assert signed_in(alice).get("/applications/new/llama/?release=%00").status_code == 200
    assert Client().get("/releases/%00/").status_code == 404
