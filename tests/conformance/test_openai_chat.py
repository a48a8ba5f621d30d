"""`chat/completions` with the real `openai` client, and the tokenizer's own addresses."""

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.conformance.openai_server import BOS, EOS, Served, key_of
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store

pytestmark = pytest.mark.django_db

ASKED = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}]},
]


def talk(served: Served, **asked: Any) -> ChatCompletion:
    values = {"model": served.model, "messages": ASKED, "temperature": 0, "max_tokens": 8, **asked}
    return served.client().chat.completions.create(**values)


def test_an_answer_has_the_shape_that_clients_know(served: Served) -> None:
    answer = talk(served)
    (choice,) = answer.choices
    assert (answer.object, answer.model, choice.index) == ("chat.completion", served.model, 0)
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert (choice.message.refusal, choice.logprobs, choice.finish_reason) == (None, None, "length")
    run = served.runs()[0]
    assert run.mode == "chat"
    assert run.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi!"},
    ]
    assert answer.usage
    assert answer.usage.prompt_tokens == run.prompt_tokens
    assert answer.usage.completion_tokens == 8


def test_a_stream_begins_with_the_role_and_ends_with_the_usage(served: Served) -> None:
    whole = talk(served, n=2, temperature=1, seed=5)
    values: dict[str, Any] = {"model": served.model, "messages": ASKED, "max_tokens": 8, "n": 2}
    *pieces, last = served.client().chat.completions.create(
        **values, temperature=1, seed=5, stream=True, stream_options={"include_usage": True}
    )
    assert {piece.object for piece in pieces} == {"chat.completion.chunk"}
    assert last.choices == []
    assert last.usage == whole.usage
    for index in (0, 1):
        mine = [c for piece in pieces for c in piece.choices if c.index == index]
        assert mine[0].delta.role == "assistant"
        assert mine[0].delta.content == ""
        assert "".join(c.delta.content or "" for c in mine) == whole.choices[index].message.content
        assert mine[-1].finish_reason == "length"
        assert mine[-1].delta.content is None


def test_max_completion_tokens_counts_and_without_it_the_answer_takes_what_room_there_is(
    served: Served,
) -> None:
    answer = talk(served, max_tokens=None, max_completion_tokens=3)
    assert answer.usage
    assert answer.usage.completion_tokens == 3
    talk(served, max_tokens=None, logit_bias={str(EOS): 100})
    run = served.runs()[0]
    assert run.prompt_tokens
    assert run.max_tokens == 1024 - run.prompt_tokens


def test_the_end_of_the_text_is_a_stop(served: Served) -> None:
    answer = talk(served, logit_bias={str(EOS): 100})
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("stop", "")


def test_logprobs_tell_each_token_with_its_bytes(served: Served) -> None:
    answer = talk(served, logprobs=True, top_logprobs=4)
    told = answer.choices[0].logprobs
    assert told
    assert told.content
    assert len(told.content) == 8
    for token in told.content:
        assert len(token.top_logprobs) == 4
        assert token.bytes is not None
        assert bytes(token.bytes).decode("utf-8", "replace") == token.token
        assert token.logprob == token.top_logprobs[0].logprob, "greedy"
    without = talk(served, logprobs=True).choices[0].logprobs
    assert without
    assert without.content
    assert [token.top_logprobs for token in without.content] == [[]] * 8


def messages_of(served: Served, *said: dict[str, Any]) -> list[dict[str, str]]:
    """What becomes of them, once they are answered."""
    assert talk(served, messages=list(said)).choices
    return served.runs()[0].messages


HI: dict[str, Any] = {"role": "user", "content": "Hi"}


def test_a_system_message_and_an_earlier_answer_may_be_empty(served: Served) -> None:
    empty = [{"role": "system", "content": ""}, HI, {"role": "assistant", "content": ""}, HI]
    assert messages_of(served, *empty) == empty
    said = messages_of(served, HI, {"role": "assistant", "content": None}, HI)
    assert said[1] == {"role": "assistant", "content": ""}
    said = messages_of(served, HI, {"role": "assistant"}, {"role": "user", "content": []}, HI)
    assert [message["content"] for message in said] == ["Hi", "", "", "Hi"]


def test_an_earlier_refusal_is_what_the_assistant_said(served: Served) -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I will not."}
    parts = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]}
    answered = {"role": "assistant", "content": "Yes", "refusal": None, "tool_calls": None}
    said = messages_of(served, HI, refused, HI, parts, HI, answered, HI)
    assert [message["content"] for message in said[1::2]] == ["I will not.", "I will not.", "Yes"]


def test_the_prompts_logprobs_stand_beside_the_choices_as_in_vllm(served: Served) -> None:
    answer = talk(served, n=2, temperature=1, extra_body={"prompt_logprobs": 0})
    told = answer.prompt_logprobs  # type: ignore[attr-defined]
    assert answer.usage
    assert len(told) == answer.usage.prompt_tokens
    assert all(len(entry) == 1 for entry in told[1:])


def test_a_name_is_kept_for_templates_that_write_it(served: Served) -> None:
    assert messages_of(served, {**HI, "name": "alice"}) == [{**HI, "name": "alice"}]


def test_tools_of_which_there_are_none_are_no_matter(served: Served) -> None:
    answer = talk(
        served, tools=[], tool_choice="none", response_format={"type": "text"}, user="alice",
        metadata={"a": "b"}, store=False, service_tier="auto", top_logprobs=0, logprobs=False,
    )  # fmt: skip
    assert answer.choices


def test_a_person_who_writes_a_control_token_says_those_characters(served: Served) -> None:
    talk(served, messages=[{"role": "user", "content": "<|im_end|>"}])
    said = served.runs()[0].prompt_tokens or 0
    talk(served, messages=[{"role": "user", "content": "x"}])
    assert said - (served.runs()[0].prompt_tokens or 0) == len("<|im_end|>") - 1


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "god", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": [HI, {"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "system", "content": ""}]}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{**HI, "name": 5}]}, "messages"),
        ({"messages": [HI, {"role": "assistant", "tool_calls": [{"id": "1"}]}, HI]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 2000}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 2000}], "max_tokens": None}, "messages"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": 1}, "logprobs"),
        ({"max_completion_tokens": "8"}, "max_completion_tokens"),
        ({"max_completion_tokens": 5000}, "max_completion_tokens"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"extra_body": {"guided_json": {"type": "object"}}}, "guided_json"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_names_its_field(
    served: Served, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        talk(served, **asked)
    assert raised.value.param == param


def test_the_tokenizer_can_be_asked_for(served: Served) -> None:
    """By the model in the body, in the query, in the address; or by none where there is one only."""
    said = "Zoë<|im_end|>"
    asked = {"prompt": said, "add_special_tokens": False}
    ids = served.post("/tokenize", json={**asked, "model": served.model}).json()["tokens"]
    assert len(ids) == 5
    assert ids[-1] == EOS, "a control token counts, as in the tokenizers of clients"
    for path in ("/tokenize", f"/models/{served.model}/tokenize"):
        assert served.post(path, json=asked).json()["tokens"] == ids
        assert served.post(path, json={"prompt": said}).json()["tokens"] == [BOS, *ids]
    text = served.post("/detokenize", json={"tokens": ids[:-1]}).json()
    assert text == {"prompt": "Zoë"}


def test_the_tokenizer_says_what_it_is(served: Served) -> None:
    http = served.client()._client
    key = {"authorization": f"Bearer {served.key}"}
    for path in ("/tokenizer_info", f"/tokenizer_info?model={served.model}"):
        told = http.get(served.url + path, headers=key).json()
        assert (told["bos_token"], told["eos_token"]) == ("<s>", "<|im_end|>")
        assert "im_start" in told["chat_template"]


def test_the_tokenizer_is_for_those_who_may_prompt(served: Served) -> None:
    key = {"authorization": f"Bearer {key_of(served.mallory)}"}
    named = served.post(f"/models/{served.model}/tokenize", json={"prompt": "a"}, headers=key)
    assert (named.status_code, named.json()["error"]["code"]) == (404, "model_not_found")
    unnamed = served.post("/tokenize", json={"prompt": "a"}, headers=key)
    assert (unnamed.status_code, unnamed.json()["error"]["param"]) == (400, "model")
    assert served.post("/detokenize", json={"tokens": [1]}, headers=key).status_code == 400
    nobody = served.post("/tokenize", json={"prompt": "a"}, headers={"authorization": ""})
    assert nobody.status_code == 401
    for tokens in ("a", [99999], [-1], [True], None):
        assert served.post("/detokenize", json={"tokens": tokens}).status_code == 400
