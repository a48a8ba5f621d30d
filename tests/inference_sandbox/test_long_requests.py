"""What comes from outside has a length before it costs anything: texts, tokens, biases, prompts, lists."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from access_requests.models import Grant
from inference_sandbox import asking
from inference_sandbox.engine.tokenizer import Tokenizer
from inference_sandbox.models import Run
from portal.accounts.models import Account, Scope
from portal.catalog.models import Release
from tests.people import with_token

LIMIT = 256  # tokens of prompt and answer together
CHARACTERS = LIMIT * asking.CHARACTERS_OF_A_TOKEN


@pytest.fixture
def program(alice: Account, grant: Grant, settings: Settings) -> Client:
    settings.SANDBOX_CONTEXT = LIMIT
    return with_token(alice, Scope.SANDBOX)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the texts and token lists that reached the tokenizer."""
    lengths: list[int] = []
    encode, decode = Tokenizer.encode, Tokenizer.decode

    def counted_encode(self: Tokenizer, text: str, **more: Any) -> list[int]:
        lengths.append(len(text))
        return encode(self, text, **more)

    def counted_decode(self: Tokenizer, ids: Any, **more: Any) -> str:
        lengths.append(len(ids))
        return decode(self, ids, **more)

    monkeypatch.setattr(Tokenizer, "encode", counted_encode)
    monkeypatch.setattr(Tokenizer, "decode", counted_decode)
    return lengths


def ask(client: Client, path: str, **body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def test_a_text_is_measured_whole_before_it_is_cut_into_pieces(
    program: Client, encoded: list[int]
) -> None:
    """Control tokens cut a text into pieces, each of which had the room of a whole prompt."""
    text = "word </s> " * (CHARACTERS // 10 + 1)
    refused = ask(program, "/tokenize", prompt=text)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")
    assert encoded == []
    assert ask(program, "/tokenize", prompt="word </s> word").json()["count"] > 2


def test_more_tokens_than_a_prompt_may_have_are_not_turned_into_text(
    program: Client, tiny: Release, encoded: list[int]
) -> None:
    most = asking.MOST_DETOKENIZED * LIMIT
    refused = ask(program, "/detokenize", tokens=[5] * (most + 1))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tokens")
    refused = ask(program, "/v1/completions", model=tiny.repo_id, prompt=[5] * (LIMIT + 1))
    assert refused.status_code == 400
    assert [length for length in encoded if length > LIMIT] == []
    assert ask(program, "/detokenize", tokens=[5] * LIMIT).status_code == 200


def test_tokens_that_do_not_fit_are_refused_before_they_are_read(
    program: Client, tiny: Release, encoded: list[int]
) -> None:
    for name in ("prompt_ids", "forced"):
        given: dict[str, Any] = {"prompt": "Once", name: [5] * LIMIT}
        refused = ask(program, "/api/v1/runs/", release=tiny.slug, **given)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [name])
    assert [length for length in encoded if length >= LIMIT] == []


def test_a_few_hundred_biases_are_more_than_enough(program: Client, tiny: Release) -> None:
    def biases(count: int) -> dict[str, float]:
        return {str(token): 1.0 for token in range(count)}

    for path, request in (
        ("/api/v1/runs/", {"release": tiny.slug, "prompt": "Once"}),
        ("/v1/completions", {"model": tiny.repo_id, "prompt": "Once"}),
    ):
        refused = ask(program, path, **request, logit_bias=biases(asking.MOST_BIASES + 1))
        assert refused.status_code == 400
        assert "logit_bias" in refused.text
    assert not Run.objects.exists()
    passes = {"release": tiny.slug, "prompt": "Once", "logit_bias": biases(100), "max_tokens": 8}
    assert ask(program, "/api/v1/runs/", **passes).status_code == 201


def test_many_prompts_are_counted_before_any_is_read(
    program: Client, tiny: Release, encoded: list[int]
) -> None:
    for more in ({"prompt": ["a"] * 257}, {"prompt": ["a"] * 100, "n": 3}):
        refused = ask(program, "/v1/completions", model=tiny.repo_id, **more)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")
    assert encoded == []


def test_a_conversation_is_measured_as_a_whole(
    program: Client, tiny: Release, encoded: list[int]
) -> None:
    """Each message had the room of a whole prompt."""
    half = "x" * (CHARACTERS // 2 + 1)
    for messages in (
        [{"role": "user", "content": half}, {"role": "user", "content": half}],
        [{"role": "user", "content": "x"}] * (LIMIT + 1),
    ):
        for path, request in (
            ("/v1/chat/completions", {"model": tiny.repo_id}),
            ("/api/v1/runs/", {"release": tiny.slug, "mode": "chat"}),
        ):
            assert ask(program, path, **request, messages=messages).status_code == 400
    assert encoded == []


@pytest.mark.parametrize("name", ["prompt_ids", "forced", "stop", "messages", "logit_bias"])
def test_a_list_of_any_length_is_refused_before_its_entries_are_looked_at(
    name: str, program: Client, tiny: Release
) -> None:
    long: Any = [{}] * 200_000
    if name == "logit_bias":
        long = {str(token): "x" for token in range(100_000)}
    refused = ask(program, "/api/v1/runs/", release=tiny.slug, prompt="Once", **{name: long})
    assert refused.status_code == 400
    assert len(refused.json()["fields"][name]) == 1
    assert len(refused.content) < 1000


def test_a_long_text_counts_as_several_requests(program: Client, settings: Settings) -> None:
    cache.clear()
    rates = {"tokenizing": "10/minute"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    assert ask(program, "/tokenize", prompt="word").status_code == 200
    refused = ask(program, "/tokenize", prompt="x" * 4096 * 20)
    assert refused.status_code == 400  # longer than any prompt: refused before it is charged
    settings.SANDBOX_CONTEXT = 1024
    refused = ask(program, "/tokenize", prompt="x" * 4096 * 20)
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")
    cache.clear()
