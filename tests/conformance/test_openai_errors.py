"""Each error of OpenAI's API as the real client raises it, and what ends a request in the middle."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import openai
import pytest
from django.conf import settings
from openai import OpenAI

from inference_sandbox import services
from inference_sandbox.models import Run
from inference_sandbox.openai import following, shapes, views
from inference_sandbox.openai.begun import Begun, begin
from inference_sandbox.openai.wanted import Wanted
from portal.accounts.models import Account, ApiToken, Scope
from portal.audit.models import Event, Verb
from tests.conformance.openai_server import Served, key_of, revoked
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store
from tests.waiting import until

pytestmark = pytest.mark.django_db

LONG = {"prompt": "Once", "max_tokens": 900, "temperature": 0, "extra_body": {"ignore_eos": True}}


def ask(served: Served, client: OpenAI | None = None, **asked: Any) -> Any:
    values = {"model": served.model, "prompt": "Once", "max_tokens": 2, **asked}
    return (client or served.client()).completions.create(**values)


def error_of(kind: type[openai.APIStatusError], act: Callable[[], Any]) -> Any:
    """The one error of that kind, with code, param and type in OpenAI's shape."""
    with pytest.raises(kind) as raised:
        act()
    error = raised.value
    assert set(error.body) == {"message", "type", "param", "code"}  # type: ignore[arg-type]
    assert error.code
    assert error.type
    assert error.request_id
    assert error.body["message"]  # type: ignore[index]
    return error


@pytest.mark.parametrize("key", ["wb_nobody-ever-made-this", "sk-of-another-house"])
def test_a_wrong_token_is_an_authentication_error(served: Served, key: str) -> None:
    error = error_of(openai.AuthenticationError, lambda: ask(served, served.client(key)))
    assert (error.status_code, error.code, error.param) == (401, "invalid_api_key", None)


def test_no_token_and_a_cookie_open_nothing(served: Served) -> None:
    with httpx.Client(base_url=served.url) as client:
        answer = client.get("/v1/models")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_revoked_token_is_one_that_was_never_made(served: Served) -> None:
    key = key_of(served.alice)
    client = served.client(key)
    assert client.models.list().data
    ApiToken.objects.filter(sha256=ApiToken.digest(key)).delete()
    error_of(openai.AuthenticationError, client.models.list)


def test_a_token_without_the_scope_may_not(served: Served) -> None:
    client = served.client(key_of(served.alice, Scope.READ, Scope.DOWNLOAD))
    error = error_of(openai.PermissionDeniedError, lambda: ask(served, client))
    assert (error.status_code, error.code) == (403, "scope_missing")
    assert "`sandbox`" in error.message


def test_a_model_that_is_not_there_and_one_that_is_closed_are_the_same_answer(
    served: Served,
) -> None:
    asks = (
        lambda: ask(served, model="demo/nothing"),
        lambda: ask(served, model="nothing"),
        lambda: ask(served, model=served.closed.repo_id),
        lambda: ask(served, served.client(key_of(served.mallory))),
        lambda: served.client().models.retrieve(served.closed.repo_id),
        lambda: served.client(key_of(served.mallory)).models.retrieve(served.model),
    )
    for each in asks:
        error = error_of(openai.NotFoundError, each)
        assert (error.code, error.param) == ("model_not_found", "model")
        assert "does not exist or you do not have access to it" in error.message
    assert served.client(key_of(served.mallory)).models.list().data == []
    assert not Run.objects.filter(account=served.mallory).exists()


def test_a_closed_model_says_why_and_the_denial_is_on_record(served: Served) -> None:
    with revoked(served):
        error = error_of(openai.NotFoundError, lambda: ask(served))
    assert "revoked" in error.message
    assert error.response.headers["x-error-code"] == "revoked"
    assert Event.objects.filter(verb=Verb.RUN_DENIED, actor=served.alice).exists()
    assert ask(served).choices, "given back, it opens again"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prompt": "x" * 1100}, "prompt"),
        ({"prompt": [5] * 1100}, "prompt"),
        ({"prompt": "x" * 1000, "max_tokens": 100}, "max_tokens"),
        ({"prompt": "x" * 1_000_000}, "prompt"),
    ],
)
def test_what_is_too_long_for_the_context_says_so(
    served: Served, asked: dict[str, Any], param: str
) -> None:
    error = error_of(openai.BadRequestError, lambda: ask(served, **asked))
    assert (error.code, error.param) == ("context_length_exceeded", param)
    assert "maximum context length is 1024 tokens" in error.message, (
        "as litellm and langchain know it"
    )


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'"text"', b"\xff\xfe", b"[" * 200_000, b'{"model": 1e}']
)
def test_malformed_json_is_a_bad_request(served: Served, body: bytes) -> None:
    answer = served.post("/v1/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert answer.headers["x-request-id"]


WRONG: list[dict[str, Any]] = [
    {"prompt": 5}, {"prompt": []}, {"prompt": [[]]}, {"prompt": [1, "a"]}, {"prompt": [True]},
    {"prompt": "\0"}, {"prompt": [99999]}, {"prompt": [-1]},
    {"max_tokens": "8"}, {"max_tokens": 1.5}, {"max_tokens": True}, {"max_tokens": -1},
    {"max_tokens": 0}, {"max_tokens": 10**30}, {"temperature": "hot"}, {"temperature": 3},
    {"top_p": -0.1}, {"n": 0}, {"n": "2"}, {"n": 1000}, {"stop": 5}, {"stop": [5]}, {"stop": [""]},
    {"stop": ["a"] * 17}, {"seed": "x"}, {"logprobs": 99}, {"logprobs": True}, {"logprobs": -1},
    {"echo": "yes"}, {"stream": 1}, {"stream_options": True}, {"logit_bias": {"a": 1}},
    {"logit_bias": {"99999": 1}}, {"logit_bias": {"5": 101}}, {"logit_bias": [1]},
    {"presence_penalty": 5}, {"best_of": 3}, {"suffix": "the end"}, {"model": 5}, {"top_k": 10**25},
    {"temperature": 10**400}, {"min_tokens": 3}, {"min_tokens": -1}, {"stop_token_ids": [99999]},
    {"stop_token_ids": ["a"]}, {"stop_token_ids": [5] * 129}, {"forced": [True]},
]  # fmt: skip


@pytest.mark.parametrize("asked", WRONG, ids=lambda asked: str(asked)[:40])
def test_a_value_that_does_not_fit_names_its_field(served: Served, asked: dict[str, Any]) -> None:
    body = {"model": served.model, "prompt": "a", "max_tokens": 2, **asked}
    answer = served.post("/v1/completions", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == next(iter(asked))
    assert error["code"].startswith(("invalid_", "unsupported_"))
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", ["model", "prompt"])
def test_a_field_that_is_missing_is_named(served: Served, name: str) -> None:
    body = {"model": served.model, "prompt": "a"}
    answer = served.post("/v1/completions", json={**body, name: None})
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (
        name,
        "missing_required_parameter",
    )


def test_what_is_not_there_and_what_is_not_for_that_address(served: Served) -> None:
    client = httpx.Client(base_url=served.url, headers={"authorization": f"Bearer {served.key}"})
    with client:
        for answer, status, code in (
            (client.get("/v1/completions"), 405, "method_not_supported"),
            (client.post("/v1/models", json={}), 405, "method_not_supported"),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
def test_what_breaks_on_our_side_is_json_too(
    served: Served, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    def broken(account: Account, wanted: Wanted) -> Begun:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(views, "begin", broken)
    body = {"model": served.model, "prompt": "a", "stream": True}
    answer = served.post("/v1/completions", json=body, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["x-should-retry"] == "false"


def test_what_breaks_in_the_middle_of_a_stream_is_an_event(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, piece: object) -> None:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(shapes.Completion, "part", broken)
    with pytest.raises(openai.APIError) as raised:
        list(ask(served, stream=True))
    assert raised.value.code == "internal_error"


def test_a_body_beyond_all_measure_is_refused(served: Served) -> None:
    answer = served.post("/v1/completions", content=b" " * 3_000_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_errors_of_a_stream_come_before_its_first_byte(served: Served) -> None:
    error = error_of(openai.BadRequestError, lambda: ask(served, stream=True, temperature=9))
    assert error.param == "temperature"
    error_of(openai.NotFoundError, lambda: ask(served, stream=True, model="demo/nothing"))


def test_too_many_at_once_is_a_rate_limit_that_says_when_to_come_back(served: Served) -> None:
    running = [
        services.create_run(
            actor=served.alice, release=served.release, prompt="Once", max_tokens=900
        )
        for _ in range(settings.SANDBOX_SIMULTANEOUS)
    ]
    try:
        error = error_of(openai.RateLimitError, lambda: ask(served))
        assert error.code == "rate_limit_exceeded"
        assert 0 < int(error.response.headers["retry-after"]) <= 120
    finally:
        for run in running:
            services.cancel(run.pk, actor=served.alice)
        until(lambda: not any(run.status in ("queued", "running") for run in served.runs()))


def test_a_client_that_hangs_up_frees_its_place(served: Served) -> None:
    stream = ask(served, stream=True, n=2, **LONG)
    next(iter(stream))
    mine = served.runs()[:2]
    assert {run.status for run in mine} <= {"queued", "running"}
    stream.close()
    until(lambda: all(run.status == "cancelled" for run in served.runs()[:2]), 60)
    assert all(0 <= (run.output_tokens or 0) < 900 for run in served.runs()[:2])


def test_a_client_that_waits_for_the_whole_and_gives_up_frees_its_place_too(served: Served) -> None:
    before = len(served.runs())
    for patience in (0.4, 2.0, 8.0):  # a busy machine has not even begun after the first
        with pytest.raises(openai.APITimeoutError):
            ask(served, served.client().with_options(timeout=patience), n=8, **LONG)
        with suppress(AssertionError):
            until(lambda: len(served.runs()) > before, 5)
            break
    assert len(served.runs()) > before

    ended_by_leaving(served, before)


def ended_by_leaving(served: Served, before: int) -> None:
    """The runs since `before` were cancelled in the client's name, not for want of a reader."""

    def ends() -> list[str]:
        runs = served.runs()
        return [run.finish_reason for run in runs[: len(runs) - before]]

    with suppress(AssertionError):  # the comparison below says more
        until(lambda: all(ends()), 60)
    assert set(ends()) == {"cancelled"}


def test_a_client_that_gives_up_before_its_answer_is_waited_for_leaves_no_run_behind(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, letting_go = len(served.runs()), threading.Event()

    async def slow() -> None:
        letting_go.set()
        await asyncio.sleep(30)

    monkeypatch.setattr(following, "alet_go", slow)
    with pytest.raises(openai.APITimeoutError):
        ask(served, served.client().with_options(timeout=3), n=2, **LONG)
    assert letting_go.is_set()
    ended_by_leaving(served, before)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_client_that_gives_up_while_its_runs_are_made_leaves_none_behind(
    served: Served, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    before, made = len(served.runs()), threading.Event()

    def slow(account: Account, wanted: Wanted) -> Begun:
        begun = begin(account, wanted)
        time.sleep(1.5)
        made.set()
        return begun

    monkeypatch.setattr(views, "begin", slow)
    with pytest.raises(openai.APITimeoutError):
        ask(served, served.client().with_options(timeout=0.5), n=2, stream=streams, **LONG)
    assert made.wait(60)
    assert len(served.runs()) == before + 2
    ended_by_leaving(served, before)


def test_a_grant_that_is_revoked_in_the_middle_ends_the_stream_with_an_error(
    served: Served,
) -> None:
    stream = ask(served, stream=True, **LONG)
    heard = [next(stream)]
    began = time.monotonic()
    with revoked(served), pytest.raises(openai.APIError) as raised:
        heard.extend(stream)
    assert time.monotonic() - began < 30
    assert raised.value.code == "access_ended"
    assert "revoked" in raised.value.message
    assert len(heard) < 900
    run = served.runs()[0]
    assert (run.status, run.finish_reason) == ("failed", "refused")


def test_a_whole_answer_that_is_revoked_in_the_middle_is_forbidden(served: Served) -> None:
    errors: list[openai.APIStatusError] = []

    def wait() -> None:
        try:
            ask(served, **LONG)
        except openai.APIStatusError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: served.runs()[0].status == "running", 60)
    with revoked(served):
        thread.join(60)
    (error,) = errors
    assert isinstance(error, openai.PermissionDeniedError)
    assert (error.code, error.param) == ("access_ended", "model")


def test_a_run_that_is_cancelled_on_the_page_ends_the_stream(served: Served) -> None:
    stream = ask(served, stream=True, **LONG)
    next(stream)
    services.cancel(served.runs()[0].pk, actor=served.alice)
    with pytest.raises(openai.APIError) as raised:
        list(stream)
    assert raised.value.code == "cancelled"
