"""The bases of OpenAI's API, and what a client with a wrong one reads."""

from typing import Any
from urllib.parse import quote

import httpx
import openai
import pytest
from django.conf import settings

from tests.conformance.openai_server import Served, key_of
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("spelt", [lambda model: model, lambda model: quote(model, safe="")])
def test_a_models_own_base_has_every_endpoint(served: Served, spelt: Any) -> None:
    """And needs no model in the body; the one in the address is meant whatever else is named."""
    base = f"/models/{spelt(served.model)}/v1"
    client = served.client(base_url=f"{served.url}{base}")
    assert [model.id for model in client.models.list()] == [served.model]
    assert client.models.retrieve(served.model).id == served.model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(served.closed.repo_id)
    said: Any = {"max_tokens": 2, "model": "default"}
    assert client.completions.create(prompt="a", **said).model == served.model
    messages: Any = [{"role": "user", "content": "Hi"}]
    assert client.chat.completions.create(messages=messages, **said).model == served.model
    response = client.responses.create(input="Hi", model="default", max_output_tokens=2)
    assert response.model == served.model
    with pytest.raises(openai.NotFoundError) as raised:
        client.responses.retrieve(response.id)
    assert raised.value.code == "response_not_found"
    text = {"prompt": "abc", "add_special_tokens": False}
    ids = served.post(f"{base}/tokenize", json=text).json()["tokens"]
    assert len(ids) == 3
    assert served.post(f"{base}/detokenize", json={"tokens": ids}).json() == {"prompt": "abc"}
    body = {"input": "Hi", "max_output_tokens": 2}
    assert served.post(f"{base}/responses", json=body).json()["model"] == served.model


def test_a_closed_models_base_is_closed(served: Served) -> None:
    base = f"/models/{served.closed.repo_id}/v1"
    key = {"authorization": f"Bearer {served.key}"}
    answers = [
        httpx.get(f"{served.url}{base}/models", headers=key),
        served.post(f"{base}/completions", json={"prompt": "a"}),
        served.post(f"{base}/responses", json={"input": "a"}),
        served.post(
            f"/models/{served.model}/v1/responses",
            json={"input": "a"},
            headers={"authorization": f"Bearer {key_of(served.mallory)}"},
        ),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


WRONG_BASES = [
    "/chat/completions", "/completions", "/responses", "/models", "/v1/v1/chat/completions",
    "/v1/v1/models", "/api/v1/chat/completions", "/api/v1/responses", "/api/v1/models",
    "/openai/v1/chat/completions", "/openai/v1/models", "/api/openai/v1/completions",
    "/models/meta/llama-7b/chat/completions", "/api/chat/completions",
]  # fmt: skip


@pytest.mark.parametrize("path", WRONG_BASES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_base_names_the_right_one(served: Served, path: str, method: str) -> None:
    error = error_of(served, method, path)
    assert error["code"] == "unknown_url"
    assert f"base_url to {settings.BASE_URL}/v1," in error["message"]


NOT_OFFERED = [
    "/v1/embeddings", "/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/files",
    "/v1/audio/transcriptions", "/v1/assistants", "/v1/threads/t/runs", "/v1/batches", "/v1", "/v1/",
    "/v1/fine_tuning/jobs", "/v1/vector_stores", "/v1/responses/compact", "/v1/rerank", "/embeddings",
    "/models/meta/llama-7b/v1/embeddings", "/models/meta/llama-7b/v1",
]  # fmt: skip


@pytest.mark.parametrize("path", NOT_OFFERED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_offered_names_what_is(served: Served, path: str, method: str) -> None:
    error = error_of(served, method, path)
    assert error["code"] == "unknown_url"
    assert path in error["message"]
    assert f"The base_url is {settings.BASE_URL}/v1" in error["message"]
    assert "chat/completions, completions, responses" in error["message"]


SLASHES = [
    ("/v1/models/", "/v1/models"),
    ("//v1/models", "/v1/models"),
    ("/v1//models", "/v1/models"),
    ("/v1/chat/completions/", "/v1/chat/completions"),
    ("/v1//chat/completions", "/v1/chat/completions"),
    ("/v1/responses/", "/v1/responses"),
    ("/tokenize/", "/tokenize"),
    ("//tokenize", "/tokenize"),
    ("/models/meta/llama-7b/v1//responses", "/models/meta/llama-7b/v1/responses"),
    ("/models/meta/llama-7b//v1/responses/", "/models/meta/llama-7b/v1/responses"),
]


@pytest.mark.parametrize(("path", "right"), SLASHES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slash_too_many_names_the_address_without(
    served: Served, path: str, right: str, method: str
) -> None:
    error = error_of(served, method, path)
    assert error["message"].endswith(f"Leave out the additional slash: {settings.BASE_URL}{right}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/completions"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/responses"),
        ("DELETE", "/v1/responses"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/meta/llama-7b"),
        ("PUT", "/models/meta/llama-7b/v1/chat/completions"),
    ],
)
def test_a_wrong_method_names_the_right_one(served: Served, method: str, path: str) -> None:
    error = error_of(served, method, path, status=405)
    assert error["code"] == "method_not_supported"
    assert error["message"].startswith(f"{method} is not for this address: use ")


def test_nobody_is_told_more_without_a_token(served: Served) -> None:
    for path in ("/v1/embeddings", "/chat/completions", "/v1/responses/resp_1"):
        answer = httpx.post(f"{served.url}{path}", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def error_of(served: Served, method: str, path: str, *, status: int = 404) -> dict[str, Any]:
    """The error in OpenAI's shape, which came without a redirect."""
    headers = {"authorization": f"Bearer {served.key}"}
    answer = httpx.request(method, f"{served.url}{path}", headers=headers)
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error
