"""`responses` with the real `openai` client, which is what openai-agents and @ai-sdk/openai call by default."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from inference_sandbox import services
from tests.conformance.openai_server import EOS, Served, key_of, revoked
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store
from tests.waiting import until

pytestmark = pytest.mark.django_db

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
LOGPROBS: Any = ["message.output_text.logprobs"]


def respond(served: Served, **asked: Any) -> Any:
    values = {"model": served.model, "input": "Hi!", "temperature": 0, "max_output_tokens": 8}
    return served.client().responses.create(**{**values, **asked})


def strictly(answer: Response) -> Response:
    """Pydantic checks each field; the client itself checks none."""
    return Response.model_validate(answer.to_dict(mode="json"), strict=True)


def test_an_answer_has_the_shape_that_clients_know(served: Served) -> None:
    answer = strictly(respond(served, metadata={"paper": "3"}, user="alice", instructions="Rhyme."))
    assert (answer.object, answer.model) == ("response", served.model)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    [item] = answer.output
    assert (item.type, item.role, item.status) == ("message", "assistant", "incomplete")
    assert answer.output_text == item.content[0].text
    assert (answer.metadata, answer.user) == ({"paper": "3"}, "alice")
    assert (answer.instructions, answer.temperature) == ("Rhyme.", 0)
    run = served.runs()[0]
    assert run.messages == [
        {"role": "system", "content": "Rhyme."},
        {"role": "user", "content": "Hi!"},
    ]
    assert answer.usage.input_tokens == run.prompt_tokens
    assert answer.usage.output_tokens == 8
    assert answer.usage.total_tokens == run.prompt_tokens + 8
    assert answer.output_text == run.output


def test_the_answer_is_that_of_a_chat(served: Served) -> None:
    chat = served.client().chat.completions.create(
        model=served.model,
        messages=[{"role": "user", "content": "Hi!"}],
        temperature=1,
        seed=7,
        max_tokens=8,
    )
    answer = respond(served, temperature=1, extra_body={"seed": 7})
    assert answer.output_text == chat.choices[0].message.content


def test_the_end_of_the_text_completes_the_response(served: Served) -> None:
    answer = strictly(respond(served, extra_body={"logit_bias": {str(EOS): 100}}))
    assert (answer.status, answer.incomplete_details) == ("completed", None)
    assert answer.completed_at
    assert (answer.output_text, answer.output[0].status) == ("", "completed")


def test_a_conversation_comes_as_messages_of_every_form(served: Served) -> None:
    first = respond(served)
    respond(
        served,
        input=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            first.output[0].to_dict(),
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"type": "message", "role": "user", "content": "And?"},
        ],
    )
    assert served.runs()[0].messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": first.output_text},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "And?"},
    ]


def test_without_a_bound_the_answer_takes_what_room_there_is(served: Served) -> None:
    respond(served, max_output_tokens=None, extra_body={"logit_bias": {str(EOS): 100}})
    run = served.runs()[0]
    assert run.max_tokens == 1024 - (run.prompt_tokens or 0)


def test_logprobs_tell_each_token_with_its_bytes(served: Served) -> None:
    answer = strictly(respond(served, include=LOGPROBS, top_logprobs=4))
    logprobs = answer.output[0].content[0].logprobs
    assert len(logprobs) == 8
    for token in logprobs:
        assert len(token.top_logprobs) == 4
        assert token.logprob == token.top_logprobs[0].logprob, "greedy"
        assert bytes(token.bytes).decode("utf-8", "replace") == token.token
    assert respond(served).output[0].content[0].logprobs == []


def test_a_stream_is_the_sequence_of_events_that_is_documented(served: Served) -> None:
    whole = respond(served)
    events = list(respond(served, stream=True))
    for event in events:
        EVENT.validate_python(event.to_dict(mode="json"), strict=True)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    names = [event.type.removeprefix("response.") for event in events]
    deltas = names.count("output_text.delta")
    assert deltas > 1
    assert names == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *["output_text.delta"] * deltas,
        *("output_text.done", "content_part.done", "output_item.done", "incomplete"),
    ]
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    last = events[-1].response
    assert text == events[-4].text == events[-3].part.text == last.output_text == whole.output_text
    assert last.usage == whole.usage
    assert last.incomplete_details.reason == "max_output_tokens"
    assert len({event.item_id for event in events if hasattr(event, "item_id")}) == 1
    assert last.output[0].id == events[2].item.id
    assert events[0].response.id == last.id


def test_a_stream_that_ends_by_itself_is_completed_and_has_logprobs(served: Served) -> None:
    events = list(
        respond(
            served, stream=True, include=LOGPROBS, top_logprobs=2, extra_body={"stop": ["\x01"]},
            max_output_tokens=4,
        )
    )  # fmt: skip
    for event in events:
        EVENT.validate_python(event.to_dict(mode="json"), strict=True)
    told = [p for e in events if e.type == "response.output_text.delta" for p in e.logprobs]
    assert [len(token.top_logprobs) for token in told] == [2] * 4
    ended = list(respond(served, stream=True, extra_body={"logit_bias": {str(EOS): 100}}))
    assert ended[-1].type == "response.completed"


def test_the_streams_helper_and_the_raw_answer_of_the_client_work(served: Served) -> None:
    values: Any = {"model": served.model, "input": "Hi!", "temperature": 0, "max_output_tokens": 8}
    with served.client().responses.stream(**values) as stream:
        kinds = {event.type for event in stream}
    assert "response.output_text.delta" in kinds
    with served.client().responses.with_streaming_response.create(**values, stream=True) as raw:
        assert raw.headers["content-type"] == "text/event-stream"
        lines = [line for line in raw.iter_lines() if line]
    assert lines[0] == "event: response.created"
    assert json.loads(lines[-1].removeprefix("data: "))["type"] == "response.incomplete"


@pytest.mark.asyncio
async def test_the_asynchronous_client_works(served: Served) -> None:
    client = AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0)
    values: Any = {"model": served.model, "input": "Hi!", "temperature": 0, "max_output_tokens": 4}
    answer = await client.responses.create(**values)
    stream = await client.responses.create(**values, stream=True)
    last = [event async for event in stream][-1]
    assert last.response.output_text == answer.output_text  # type: ignore[union-attr]
    await client.close()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "web_search"}]}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"background": True}, "background"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"truncation": "auto"}, "truncation"),
    ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
    ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
    ({"text": {"format": {"type": "json_object"}}}, "text.format"),
    ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ({"include": ["reasoning.encrypted_content"]}, "include"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
    ({"input": [{"type": "function_call_output", "call_id": "1", "output": ""}]}, "input"),
    ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input"),
    ({"extra_body": {"n": 2}}, "n"),
    ({"extra_body": {"messages": [{"role": "user", "content": "Hi"}]}}, "messages"),
    ({"extra_body": {"return_token_ids": True}}, "return_token_ids"),
]


@pytest.mark.parametrize(("asked", "param"), REFUSED, ids=str)
def test_what_is_not_supported_is_refused_by_name(
    served: Served, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        respond(served, **asked)
    assert (raised.value.param, raised.value.code) == (param, "unsupported_parameter")
    assert f"`{param}`" in raised.value.message


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["Hi"]}, "input"),
        ({"input": [{"role": "god", "content": "Hi"}]}, "input"),
        ({"input": [{"role": "user"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input"),
        ({"input": "x" * 2000}, "input"),
        ({"input": "\x00"}, "input"),
        ({"instructions": 5}, "instructions"),
        ({"include": "x"}, "include"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": LOGPROBS, "top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": "8"}, "max_output_tokens"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 5000}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"text": "json"}, "text"),
        ({"reasoning": "much"}, "reasoning"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_that_does_not_fit_names_its_field(
    served: Served, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        respond(served, **asked)
    assert raised.value.param == param


def test_a_prompt_that_is_too_long_says_what_clients_look_for(served: Served) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        respond(served, input="x" * 2000)
    assert raised.value.code == "context_length_exceeded"
    assert "maximum context length is" in raised.value.message


def test_nothing_is_stored_and_the_answer_says_so(served: Served) -> None:
    answer = respond(served, store=True)
    assert answer.to_dict()["store"] is False
    client = served.client()
    for act in (
        lambda: client.responses.retrieve(answer.id),
        lambda: client.responses.delete(answer.id),
        lambda: client.responses.cancel(answer.id),
        lambda: client.responses.input_items.list(answer.id),
    ):
        with pytest.raises(openai.NotFoundError) as raised:
            act()
        assert (raised.value.code, raised.value.param) == ("response_not_found", "response_id")
        assert "not stored here" in raised.value.message
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.input_tokens.count(model=served.model, input="Hi")
    assert unknown.value.code == "unknown_url"


def test_mallory_gets_no_response(served: Served) -> None:
    client = served.client(key_of(served.mallory))
    with pytest.raises(openai.NotFoundError) as raised:
        client.responses.create(model=served.model, input="Hi!")
    assert raised.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        served.client("wb_of-nobody").responses.create(model=served.model, input="Hi!")


def test_a_grant_that_is_revoked_in_the_middle_fails_the_response(served: Served) -> None:
    long = {"max_output_tokens": 900, "extra_body": {"ignore_eos": True}}
    events = respond(served, stream=True, **long)
    heard = [next(events)]
    with revoked(served), pytest.raises(openai.APIError) as raised:
        heard.extend(events)
    assert raised.value.code == "access_ended"
    assert "revoked" in raised.value.message


def test_a_stream_that_breaks_off_ends_with_an_error_and_a_failed_response(served: Served) -> None:
    body = {"model": served.model, "input": "Hi!", "stream": True, "ignore_eos": True}
    with served.client().responses.with_streaming_response.create(
        model=served.model, input="Hi!", stream=True, extra_body=body, max_output_tokens=900
    ) as raw:
        lines = raw.iter_lines()
        assert next(lines) == "event: response.created"
        services.cancel(served.runs()[0].pk, actor=served.alice)
        heard = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    for event in heard:
        EVENT.validate_python(event, strict=True)
    *_, error, failed = heard
    assert (error["type"], error["code"]) == ("error", "cancelled")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"]["message"] == error["message"]


def test_a_client_that_hangs_up_frees_its_place(served: Served) -> None:
    events = respond(served, stream=True, max_output_tokens=900, extra_body={"ignore_eos": True})
    next(iter(events))
    events.close()
    until(lambda: served.runs()[0].status == "cancelled", 60)
