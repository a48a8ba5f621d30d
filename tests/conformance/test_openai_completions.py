"""`completions` with the real `openai` client: what is asked for is what comes back."""

import json
from typing import Any

import pytest
from openai.types import Completion

from inference_sandbox.models import Job, Run
from tests.conformance.openai_server import BOS, EOS, Served
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store

pytestmark = pytest.mark.django_db

PROMPT = "Once upon a time"
READ = 1 + len(PROMPT)  # tokens: the one that begins a text, and one for each byte


def complete(served: Served, **asked: Any) -> Completion:
    values = {"model": served.model, "prompt": PROMPT, "temperature": 0, "max_tokens": 8, **asked}
    return served.client().completions.create(**values)


def text(served: Served, **asked: Any) -> str:
    return complete(served, **asked).choices[0].text


def test_the_models_are_those_that_the_person_may_prompt(served: Served) -> None:
    assert [model.id for model in served.client().models.list()] == [served.model]
    card = served.client().models.retrieve(served.model)
    assert (card.id, card.object, card.owned_by) == (served.model, "model", "demo")
    assert card.created > 1_700_000_000


def test_a_completion_has_the_shape_that_clients_know(served: Served) -> None:
    answer = complete(served)
    (choice,) = answer.choices
    assert (answer.object, answer.model, choice.index) == ("text_completion", served.model, 0)
    assert (choice.finish_reason, choice.logprobs) == ("length", None)
    assert answer.id.startswith("cmpl-")
    assert answer.usage
    assert answer.usage.total_tokens == READ + 8
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (READ, 8)
    assert answer._request_id, "every answer names its request"


def test_it_is_a_run_like_one_of_the_page(served: Served) -> None:
    answer = complete(served, max_tokens=3)
    run = served.runs()[0]
    assert (run.output, run.status, run.keep) == (answer.choices[0].text, "finished", False)
    assert run.job
    assert run.job.kind == Job.Kind.COMPLETION
    assert answer.id == f"cmpl-{run.job.pk.hex}"
    assert run.prompt == PROMPT


def test_null_is_the_default_and_unknown_fields_are_nobodys_business(served: Served) -> None:
    body = {"model": served.model, "prompt": "a", "seed": 1, "max_tokens": None, "stop": None}
    body |= {"n": None, "temperature": None, "logprobs": None, "stream": None, "user": "alice"}
    body |= {"logit_bias": None, "suffix": None, "best_of": 1, "flavour": {"of": "cherries"}}
    answer = served.post("/v1/completions", json=body)
    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] == 16
    run = served.runs()[0]
    assert (run.temperature, run.top_p, run.top_k, run.max_tokens) == (1, 1, 0, 16)


def test_a_stop_string_ends_the_text_before_it(served: Served) -> None:
    whole = text(served, max_tokens=12)
    stop = whole[5:7]
    answer = complete(served, max_tokens=12, stop=[stop, "never said"])
    assert answer.choices[0].text == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"
    assert text(served, max_tokens=12, stop=stop) == answer.choices[0].text
    assert text(served, max_tokens=12, stop=[]) == whole


def test_two_choices_differ_and_come_again_with_the_seed(served: Served) -> None:
    def choices() -> list[str]:
        answer = complete(served, n=2, temperature=1, seed=7, max_tokens=12)
        assert [choice.index for choice in answer.choices] == [0, 1]
        assert answer.usage
        assert answer.usage.prompt_tokens == READ, "read once"
        assert answer.usage.completion_tokens == sum(run.output_tokens for run in served.runs()[:2])
        return [choice.text for choice in answer.choices]

    first = choices()
    assert first[0] != first[1]
    assert choices() == first
    assert text(served, temperature=1, seed=8, max_tokens=12) == first[1], "seed + 1"
    assert text(served, temperature=1, max_tokens=12) != text(
        served, temperature=1, max_tokens=12
    ), "no seed, no repetition"


def test_several_prompts_are_answered_in_their_order(served: Served) -> None:
    prompts = ["Once", "Twice or more", "Never"]
    answer = complete(served, prompt=prompts, n=2, max_tokens=5)
    assert [choice.index for choice in answer.choices] == list(range(6))
    alone = [text(served, prompt=prompt, max_tokens=5) for prompt in prompts]
    assert [choice.text for choice in answer.choices] == [t for t in alone for _ in "12"]
    assert answer.usage
    assert answer.usage.prompt_tokens == sum(map(len, prompts)) + len(prompts)


def test_token_ids_are_taken_as_they_are(served: Served) -> None:
    ids = ids_of(served, PROMPT)
    assert text(served, prompt=ids) == text(served)
    both = complete(served, prompt=[ids, ids[:4]], max_tokens=5)
    assert both.choices[0].text == text(served)[: len(both.choices[0].text)]
    assert both.usage
    assert both.usage.prompt_tokens == READ + 4


def ids_of(served: Served, prompt: str, **more: Any) -> list[int]:
    answer = served.post("/tokenize", json={"prompt": prompt, "model": served.model, **more})
    return list(answer.json()["tokens"])


def test_a_text_begins_with_the_models_bos_unless_the_client_says_otherwise(served: Served) -> None:
    """As vLLM does, and /tokenize too, so that both tell the same tokens of a text."""
    without = ids_of(served, PROMPT, add_special_tokens=False)
    assert ids_of(served, PROMPT) == [BOS, *without]
    text(served)
    assert served.runs()[0].prompt_ids == [BOS, *without]
    plain = complete(served, extra_body={"add_special_tokens": False})
    assert served.runs()[0].prompt_ids == without
    assert plain.usage
    assert plain.usage.prompt_tokens == len(PROMPT)
    text(served, prompt=without)
    assert served.runs()[0].prompt_ids == without, "tokens are taken as they are"


def test_an_empty_text_is_the_bos_alone(served: Served) -> None:
    answer = complete(served, prompt="", echo=True)
    assert answer.usage
    assert answer.usage.prompt_tokens == 1
    assert answer.choices[0].text
    refused = served.post(
        "/v1/completions", json={"model": served.model, "prompt": "", "add_special_tokens": False}
    )
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")


def test_an_echo_begins_with_the_prompt_and_reads_it_alone_for_no_tokens(served: Served) -> None:
    assert text(served, echo=True) == PROMPT + text(served)
    answer = complete(served, echo=True, max_tokens=0)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (PROMPT, "length")
    assert answer.usage
    assert answer.usage.completion_tokens == 0
    spaces = "  two\n\nlines "
    assert text(served, prompt=spaces, echo=True, max_tokens=0) == spaces


def test_logprobs_of_the_answer_are_four_equal_lists(served: Served) -> None:
    answer = complete(
        served, prompt=["é: ", "Once"], max_tokens=16, logprobs=3, temperature=1, seed=3
    )
    for choice in answer.choices:
        told = choice.logprobs
        assert told
        assert told.tokens
        assert told.token_logprobs
        assert told.text_offset
        assert len(told.tokens) == len(told.token_logprobs) == len(told.text_offset) == 16
        assert told.top_logprobs
        assert len(told.top_logprobs) == 16
        for token, logprob, top in zip(
            told.tokens, told.token_logprobs, told.top_logprobs, strict=True
        ):
            assert top[token] == logprob, "the same float"
            assert 3 <= len(top) <= 4, "the three likeliest, and the one that was taken"
        check_offsets(choice.text, told.tokens, told.text_offset)


def check_offsets(whole: str, tokens: list[str], offsets: list[int]) -> None:
    """Each token that is text by itself stands where its offset says."""
    assert offsets == sorted(offsets)
    for token, offset in zip(tokens, offsets, strict=True):
        if not token.startswith(("bytes:", "<|", "<s>")):
            assert whole[offset:].startswith(token.replace("\0", "\ufffd"))


def test_tokens_that_read_alike_have_names_of_their_own(served: Served) -> None:
    """The tiny model's tokens are bytes: most of its alternatives are parts of a character."""
    answer = complete(served, prompt=[PROMPT], max_tokens=4, logprobs=20)
    told = answer.choices[0].logprobs
    assert told
    assert told.top_logprobs
    assert all(len(top) == 20 for top in told.top_logprobs)
    assert any(name.startswith("bytes:\\x") for top in told.top_logprobs for name in top)


def test_echo_with_logprobs_tells_the_prompts_too(served: Served) -> None:
    prompt = "Zoë said"
    answer = complete(served, prompt=prompt, echo=True, logprobs=2, max_tokens=3)
    told = answer.choices[0].logprobs
    assert told
    assert told.tokens
    assert told.token_logprobs
    assert told.top_logprobs
    assert told.text_offset
    assert len(told.tokens) == 1 + len(prompt.encode()) + 3
    assert answer.choices[0].text.startswith(prompt), "the token that begins it is no text"
    assert (told.token_logprobs[0], told.top_logprobs[0]) == (None, None), "nothing precedes it"
    assert all(lp is not None for lp in told.token_logprobs[1:])
    assert told.tokens[:6] == ["<s>", "Z", "o", "bytes:\\xc3", "bytes:\\xab", " "]
    assert told.text_offset[:6] == [0, 0, 1, 2, 2, 3]
    check_offsets(answer.choices[0].text, told.tokens, told.text_offset)


def test_prompt_logprobs_are_told_as_by_vllm(served: Served) -> None:
    asked = {"prompt_logprobs": 2}
    whole = complete(served, max_tokens=1, extra_body=asked).choices[0]
    told = whole.prompt_logprobs  # type: ignore[attr-defined]
    ids = served.runs()[0].prompt_ids
    assert len(told) == len(ids)
    assert told[0] is None
    echoed = complete(served, max_tokens=1, echo=True, logprobs=2).choices[0].logprobs
    assert echoed
    assert echoed.token_logprobs
    for token, entry, logprob in zip(ids[1:], told[1:], echoed.token_logprobs[1:-1], strict=True):
        assert entry[str(token)]["logprob"] == logprob
        assert sorted(each["rank"] or 3 for each in entry.values())[:2] == [1, 2]
    refused = served.post(
        "/v1/completions", json={"model": served.model, "prompt": "a", "stream": True, **asked}
    )
    assert refused.json()["error"]["param"] == "prompt_logprobs"


def test_a_likelihood_request_has_one_entry_more_than_its_prompt_also_at_the_end_of_the_text(
    served: Served,
) -> None:
    """As lm_eval sends it; the token that ends a text has no characters, and counts."""
    ids = ids_of(served, PROMPT)
    for biases in ({}, {str(EOS): 100}):
        answer = complete(
            served, prompt=[ids, ids[:5]], max_tokens=1, logprobs=1, seed=1234, echo=True,
            logit_bias=biases,
        )  # fmt: skip
        for choice, length in zip(answer.choices, (len(ids), 5), strict=True):
            told = choice.logprobs
            assert told
            assert told.token_logprobs
            assert told.top_logprobs
            assert len(told.token_logprobs) == len(told.top_logprobs) == length + 1
            assert choice.finish_reason == ("stop" if biases else "length")
            best = [max(top.values()) for top in told.top_logprobs[1:]]
            assert all(
                mine <= theirs for mine, theirs in zip(told.token_logprobs[1:], best, strict=True)
            )
    assert told.tokens
    assert told.tokens[-1] == "<|im_end|>"


def test_a_greedy_answer_is_known_by_equal_floats(served: Served) -> None:
    answer = complete(served, logprobs=1, max_tokens=12)
    told = answer.choices[0].logprobs
    assert told
    assert told.token_logprobs
    assert told.top_logprobs
    assert told.token_logprobs == [max(top.values()) for top in told.top_logprobs]


def test_a_bias_decides_and_the_fields_of_other_servers_are_understood(served: Served) -> None:
    assert text(served, logit_bias={str(ids_of(served, "x")[-1]): 100}, max_tokens=4) == "xxxx"
    more = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "ignore_eos": True}
    answer = complete(served, temperature=1, presence_penalty=0.5, extra_body=more)
    assert answer.choices[0].finish_reason == "length"
    run = served.runs()[0]
    assert (run.top_k, run.min_p, run.repetition_penalty) == (5, 0.1, 1.2)
    assert (run.presence_penalty, run.ignore_eos) == (0.5, True)


def test_tokens_end_an_answer_but_not_before_its_least_length(served: Served) -> None:
    whole = complete(served, max_tokens=8, extra_body={"return_token_ids": True}).choices[0]
    ids = whole.token_ids  # type: ignore[attr-defined]
    at = next(at for at in range(2, 8) if ids[at] not in ids[:at])
    answer = complete(served, extra_body={"stop_token_ids": [ids[at]]})
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.completion_tokens == at + 1
    assert whole.text.startswith(answer.choices[0].text)
    eager = complete(served, logit_bias={str(EOS): 100}, extra_body={"min_tokens": 3})
    assert eager.usage
    assert eager.usage.completion_tokens == 4
    run = served.runs()[0]
    assert (run.min_tokens, run.output_ids[3]) == (3, EOS)


@pytest.mark.parametrize("asked", [{}, {"n": 2, "echo": True}, {"logprobs": 2, "echo": True}])
def test_a_stream_brings_what_the_whole_answer_brings(
    served: Served, asked: dict[str, Any]
) -> None:
    values = {"model": served.model, "prompt": PROMPT, "max_tokens": 10, "temperature": 1}
    values |= {"seed": 4, **asked}
    whole = served.client().completions.create(**values)
    chunks = list(
        served.client().completions.create(
            **values, stream=True, stream_options={"include_usage": True}
        )
    )
    *pieces, last = chunks
    assert last.choices == []
    assert last.usage == whole.usage
    assert all(piece.usage is None for piece in pieces)
    assert len({piece.id for piece in chunks}) == 1
    for choice in whole.choices:
        mine = [c for piece in pieces for c in piece.choices if c.index == choice.index]
        assert "".join(c.text for c in mine) == choice.text
        assert [c.finish_reason for c in mine] == [None] * (len(mine) - 1) + [choice.finish_reason]
        if choice.logprobs:
            for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
                streamed = [v for c in mine if c.logprobs for v in getattr(c.logprobs, name)]
                assert streamed == getattr(choice.logprobs, name)


def test_a_stream_without_usage_says_nothing_of_it_and_ends_with_done(served: Served) -> None:
    body = {"model": served.model, "prompt": "a", "max_tokens": 2, "stream": True}
    answer = served.post("/v1/completions", json=body)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"]
    *events, done, nothing = answer.text.split("\n\n")
    assert (done, nothing) == ("data: [DONE]", "")
    assert all("usage" not in json.loads(event.removeprefix("data: ")) for event in events)


def test_the_model_may_stand_in_the_address(served: Served) -> None:
    answer = served.post(
        f"/models/{served.model}/v1/completions", json={"prompt": "a", "max_tokens": 1}
    )
    assert answer.json()["model"] == served.model
    assert Run.objects.filter(job__pk=answer.json()["id"].removeprefix("cmpl-")).exists()
