"""“With the openai client” on a run's page: the lines, executed, are answered with the same tokens."""

from typing import Any

import pytest
from django.conf import settings

from inference_sandbox import services, snippets
from inference_sandbox.models import Run
from tests.conformance.openai_server import Served
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store
from tests.waiting import until

pytestmark = pytest.mark.django_db

TALK = [
    {"role": "system", "content": "Be “brief”."},
    {"role": "user", "content": "It's\n<|im_end|>", "name": "alice"},
    {"role": "assistant", "content": ""},
    {"role": "user", "content": "Hi"},
]
ODD = {"top_k": 40, "min_p": 0.01, "repetition_penalty": 1.1, "presence_penalty": 0.5}
RUNS: dict[str, dict[str, Any]] = {
    "a text": {"prompt": "It's “Zoë” \\ once"},
    "a text as on the page": {"prompt": "Once", "logprobs": 8, "prompt_logprobs": 8},
    "greedy": {"prompt": "Once", "temperature": 0.0, "top_p": 1.0},
    "token ids": {"prompt_ids": [5, 99, 200]},
    "a question": {"mode": "chat", "prompt": "Hi"},
    "a conversation": {"mode": "chat", "messages": TALK, "logprobs": 2, "prompt_logprobs": 2},
    "a branch": {"prompt": "Once", "forced": [72, 105]},
    "parameters": {"prompt": "Once", **ODD, "logit_bias": {"65": 4.0}, "repeatable": True},
    "lengths": {"prompt": "Once", "min_tokens": 3, "stop_token_ids": [*range(65, 91)]},
    "ends": {"prompt": "Once", "ignore_eos": True, "stop": ["zz", "\n"], "frequency_penalty": 0.2},
}


@pytest.fixture(autouse=True)
def here(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BASE_URL", served.url)
    monkeypatch.setenv("WEIGHBRIDGE_TOKEN", served.key)


def finished(served: Served, **asked: Any) -> Run:
    values = {"max_tokens": 8, "temperature": 0.9, "top_p": 0.97, **asked}
    run = services.create_run(actor=served.alice, release=served.release, **values)
    return until(lambda: Run.objects.filter(pk=run.pk, status="finished").first())


@pytest.mark.parametrize("name", RUNS)
def test_the_lines_for_the_openai_client_repeat_the_run(served: Served, name: str) -> None:
    first = finished(served, **RUNS[name])
    exec(snippets.openai(first), {})
    second = served.runs()[0]
    assert second.pk != first.pk
    assert second.output_ids == first.output_ids
    assert second.prompt_tokens == first.prompt_tokens
    assert second.output == first.output
    assert second.seed == first.seed


def test_a_request_over_the_api_is_repeated_by_its_lines_too(served: Served) -> None:
    served.client().completions.create(
        model=served.model, prompt=["Once", "Twice"], n=2, max_tokens=5
    )
    for first in served.runs()[:4]:
        exec(snippets.openai(first), {})
        assert served.runs()[0].output_ids == first.output_ids
