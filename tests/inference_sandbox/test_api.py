"""The sandbox over REST."""

import json
from typing import Any

import pytest
from django.test import AsyncClient, Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from access_requests.models import Grant
from inference_sandbox.models import Run
from inference_sandbox.stream import Kind, Writer
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from tests.inference_sandbox.conftest import Prompt
from tests.inference_sandbox.reading import Heard, hear
from tests.openapi import check_answer
from tests.people import with_token

RUNS = "/api/v1/runs/"


@pytest.fixture
def program(alice: Account) -> Client:
    return with_token(alice, Scope.SANDBOX)


def start(client: Client, **body: Any) -> Any:
    return client.post(RUNS, body, content_type="application/json")


def stream_of(account: Account, run: Run, scope: Scope = Scope.SANDBOX, **headers: str) -> Heard:
    _, text = ApiToken.make(account, name="test", scopes=[str(scope)])
    url = f"{RUNS}{run.pk}/stream/"
    return hear(AsyncClient(), url, authorization=f"Bearer {text}", **headers)


def test_a_run_is_started_by_repo_id_or_slug(program: Client, grant: Grant, tiny: Release) -> None:
    for name in (tiny.repo_id, tiny.slug):
        response = start(program, release=name, prompt="Once", max_tokens=4, seed=3)
        assert response.status_code == 201
        run = Run.objects.get(pk=response.json()["id"])
        assert response.json().items() >= {"stream": f"{RUNS}{run.pk}/stream/"}.items()
        assert (run.max_tokens, run.seed, run.mode) == (4, 3, "plain")


def test_runs_have_the_shape_that_the_document_describes(
    program: Client, grant: Grant, tiny: Release
) -> None:
    body = {"prompt": "Once", "logit_bias": {"3": 1.5}, "stop": ["."], "logprobs": 2}
    started = start(program, release=tiny.slug, **body)
    check_answer("POST", RUNS, started)
    run = Run.objects.get(pk=started.json()["id"])
    for address, path in (
        (RUNS, RUNS),
        (f"{RUNS}{run.pk}/", f"{RUNS}{{run_id}}/"),
        (f"/api/v1/releases/{tiny.slug}/files/", "/api/v1/releases/{slug}/files/"),
        (f"/api/v1/releases/{tiny.slug}/quota/", "/api/v1/releases/{slug}/quota/"),
    ):
        check_answer("GET", path, program.get(address))
    run.output, run.output_ids, run.status = "A text.", [3, 4, 5], "finished"
    run.messages = [{"role": "user", "content": "Once"}]
    run.save()
    check_answer("GET", f"{RUNS}{{run_id}}/", program.get(f"{RUNS}{run.pk}/"))
    check_answer("POST", f"{RUNS}{{run_id}}/cancel/", program.post(f"{RUNS}{run.pk}/cancel/"))


def test_what_is_left_out_has_a_default(program: Client, grant: Grant, tiny: Release) -> None:
    start(program, release=tiny.slug, prompt="Once")
    run = Run.objects.get()
    assert (run.temperature, run.top_p, run.max_tokens) == (0.7, 0.95, 256)


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"prompt": ""}, 400, "invalid", "prompt"),
        ({"prompt": None}, 400, "invalid", "prompt"),
        ({"prompt": "a\x00"}, 400, "invalid", "prompt"),
        ({"prompt": "x" * 3000}, 400, "too_long", "prompt"),
        ({"temperature": -1}, 400, "invalid", "temperature"),
        ({"temperature": "warm"}, 400, "invalid", "temperature"),
        ({"top_p": 1.5}, 400, "invalid", "top_p"),
        ({"max_tokens": 0}, 400, "invalid", "max_tokens"),
        ({"max_tokens": 1.5}, 400, "invalid", "max_tokens"),
        ({"seed": -1}, 400, "invalid", "seed"),
        ({"seed": 2**63}, 400, "invalid", "seed"),
        ({"mode": "poem"}, 400, "invalid", "mode"),
        ({"release": ""}, 400, "invalid", "release"),
        ({"release": "nobody/nothing"}, 404, "not_found", None),
    ],
)
def test_bad_input_is_a_problem_that_names_the_field(
    program: Client, grant: Grant, tiny: Release, body: Any, status: int, code: str, field: Any
) -> None:
    response = start(program, **{"release": tiny.slug, "prompt": "Once", **body})
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code
    assert problem["way_out"]
    assert list(problem.get("fields", {})) == ([field] if field else [])
    assert not Run.objects.exists()


def test_without_a_grant_the_answer_says_so(mallory: Account, tiny: Release) -> None:
    response = start(with_token(mallory), release=tiny.slug, prompt="Once")
    assert (response.status_code, response.json()["code"]) == (403, "not_granted")


def test_a_token_without_the_scope_opens_nothing(alice: Account, prompt: Prompt) -> None:
    run = prompt()
    reader = with_token(alice, Scope.READ)
    for response in (
        reader.get(RUNS),
        reader.get(f"{RUNS}{run.pk}/"),
        reader.post(f"{RUNS}{run.pk}/cancel/"),
        start(reader, release=run.release.slug, prompt="x"),
    ):
        assert (response.status_code, response.json()["code"]) == (403, "scope_missing")
    heard = stream_of(alice, run, Scope.READ)
    assert (heard.status, json.loads(heard.body)["code"]) == (403, "scope_missing")


def test_nobody_unknown_gets_in(prompt: Prompt) -> None:
    run = prompt()
    assert Client().get(RUNS).status_code == 401
    heard = hear(AsyncClient(), f"{RUNS}{run.pk}/stream/")
    assert (heard.status, json.loads(heard.body)["code"]) == (401, "not_signed_in")
    wrong = hear(AsyncClient(), f"{RUNS}{run.pk}/stream/", authorization="Bearer wb_wrong")
    assert wrong.status == 401


def test_the_runs_of_another_are_not_there(prompt: Prompt, mallory: Account) -> None:
    run = prompt()
    other = with_token(mallory)
    assert other.get(f"{RUNS}{run.pk}/").status_code == 404
    assert other.post(f"{RUNS}{run.pk}/cancel/").status_code == 404
    assert other.get(RUNS).json()["results"] == []
    assert stream_of(mallory, run).status == 404
    run.refresh_from_db()
    assert run.status == "queued"


def test_a_run_is_read_and_cancelled(program: Client, prompt: Prompt) -> None:
    run = prompt()
    body = program.get(f"{RUNS}{run.pk}/").json()
    assert (body["status"], body["prompt"], body["output"]) == ("queued", "Once", "")
    assert body["revision"] == run.revision.digest
    assert program.get(RUNS).json()["results"] == [body]
    for _ in range(2):
        cancelled = program.post(f"{RUNS}{run.pk}/cancel/")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


def test_the_stream_brings_json_and_resumes(alice: Account, prompt: Prompt) -> None:
    run = prompt()
    writer = Writer.take(run.pk)
    assert writer
    writer.append(Kind.START)
    for number, text in enumerate(["é", "\n", "<"]):
        writer.append(Kind.TOKEN, t=number, x=text)
    Run.objects.filter(pk=run.pk).update(status="finished", finish_reason="stop", output_tokens=3)
    writer.append(Kind.END, status="finished", finish_reason="stop", error="")
    heard = stream_of(alice, run)
    tokens = [json.loads(event.data) for event in heard.named("token")]
    assert tokens == [{"id": 0, "text": "é"}, {"id": 1, "text": "\n"}, {"id": 2, "text": "<"}]
    end = json.loads(heard.named("end")[0].data)
    assert (end["status"], end["finish_reason"], end["output_tokens"]) == ("finished", "stop", 3)
    second = heard.named("token")[1]
    rest = stream_of(alice, run, **{"Last-Event-ID": second.id})
    assert [json.loads(event.data)["id"] for event in rest.named("token")] == [2]


def test_openapi_describes_the_runs_without_a_warning() -> None:
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert {RUNS, f"{RUNS}{{run_id}}/", f"{RUNS}{{run_id}}/cancel/"} <= set(schema["paths"])
    ours = [
        line
        for cache in (GENERATOR_STATS._warn_cache, GENERATOR_STATS._error_cache)
        for line in cache
        if "inference_sandbox" in line
    ]
    assert ours == []
    created = schema["paths"][RUNS]["post"]["responses"]
    assert "201" in created
