"""Parameters of OpenAI's API and of vLLM's: each has its place in the table, and none is ignored that counts."""

import json
import os
from typing import Any, get_type_hints

import pytest
from django.conf import settings
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as CompletionParams
from openai.types.responses.response_create_params import (
    ResponseCreateParamsBase as ResponseParams,
)
from openai.types.responses.response_text_config_param import ResponseTextConfigParam
from openai.types.shared_params.reasoning import Reasoning

from inference_sandbox.openai import parameters
from inference_sandbox.openai.errors import ApiError
from inference_sandbox.openai.parameters import (
    CHAT,
    COMPLETIONS,
    OF_RESPONSES,
    RESPONSES,
    Handling,
    Parameter,
    Table,
)
from inference_sandbox.openai.reading import Body

# Of vLLM's CompletionRequest and ChatCompletionRequest, as of 2026-11.
VLLM = """
    use_beam_search top_k min_p repetition_penalty length_penalty stop_token_ids
    include_stop_str_in_output ignore_eos min_tokens skip_special_tokens
    spaces_between_special_tokens truncate_prompt_tokens truncation_side allowed_token_ids
    prompt_logprobs bad_words add_special_tokens response_format structured_outputs priority
    request_id return_tokens_as_token_ids return_token_ids return_token_offsets cache_salt
    kv_transfer_params ec_transfer_params vllm_xargs repetition_detection thinking_token_budget
    logits_processors guided_json guided_regex guided_choice guided_grammar
    guided_decoding_backend guided_whitespace_pattern
"""
OF_CHATS = """
    tools tool_choice parallel_tool_calls reasoning_effort include_reasoning echo
    add_generation_prompt continue_final_message documents chat_template chat_template_kwargs
    media_io_kwargs mm_processor_kwargs return_prompt_text return_assistant_tokens_mask
"""


def test_every_parameter_that_openai_and_vllm_know_has_its_place() -> None:
    assert (
        not {*get_type_hints(CompletionParams), *VLLM.split(), "prompt_embeds"} - COMPLETIONS.keys()
    )
    assert not {*get_type_hints(ChatParams), *VLLM.split(), *OF_CHATS.split()} - CHAT.keys()
    assert not get_type_hints(ResponseParams).keys() - RESPONSES.keys()
    assert get_type_hints(ResponseTextConfigParam).keys() == OF_RESPONSES["text"].keys()
    assert get_type_hints(Reasoning).keys() == OF_RESPONSES["reasoning"].keys()


def test_each_that_is_rejected_says_why() -> None:
    for table in (COMPLETIONS, CHAT, RESPONSES, *OF_RESPONSES.values()):
        for name, parameter in table.items():
            assert bool(parameter.reason) is (parameter.handling is Handling.REJECTED), name


ANSWERED_OTHERWISE: list[tuple[Table, dict[str, Any]]] = [
    (COMPLETIONS, {"suffix": "the end"}),
    (COMPLETIONS, {"use_beam_search": True}),
    (COMPLETIONS, {"length_penalty": 1.5}),
    (COMPLETIONS, {"guided_json": {"type": "object"}}),
    (COMPLETIONS, {"response_format": {"type": "json_object"}}),
    (COMPLETIONS, {"include_stop_str_in_output": True}),
    (COMPLETIONS, {"skip_special_tokens": False}),
    (COMPLETIONS, {"truncate_prompt_tokens": 0}),
    (COMPLETIONS, {"logits_processors": ["a"]}),
    (COMPLETIONS, {"allowed_token_ids": [5]}),
    (COMPLETIONS, {"num_beams": 4}),
    (CHAT, {"tools": [{"type": "function"}]}),
    (CHAT, {"functions": [{"name": "f"}]}),
    (CHAT, {"tool_choice": "required"}),
    (CHAT, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    (CHAT, {"response_format": {"type": "json_schema", "json_schema": {}}}),
    (CHAT, {"audio": {"voice": "alloy"}}),
    (CHAT, {"modalities": ["text", "audio"]}),
    (CHAT, {"reasoning_effort": "high"}),
    (CHAT, {"web_search_options": {}}),
    (CHAT, {"echo": True}),
    (CHAT, {"chat_template": "{{ messages }}"}),
    (RESPONSES, {"tools": [{"type": "web_search"}]}),
    (RESPONSES, {"background": True}),
    (RESPONSES, {"truncation": "auto"}),
    (RESPONSES, {"max_tokens": 5}),
]


@pytest.mark.parametrize(("table", "asked"), ANSWERED_OTHERWISE, ids=lambda each: str(each)[:40])
def test_what_would_change_the_answer_is_rejected_by_name(
    table: Table, asked: dict[str, Any]
) -> None:
    with pytest.raises(ApiError) as raised:
        parameters.check(Body({"model": "m", **asked}), table)
    error = raised.value
    (name,) = asked
    assert (error.status, error.param, error.code) == (400, name, "unsupported_parameter")
    assert f"`{name}`" in error.message


@pytest.mark.parametrize(
    "table", [COMPLETIONS, CHAT, RESPONSES], ids=["completions", "chat", "responses"]
)
def test_null_is_as_if_it_were_not_there(table: Table) -> None:
    parameters.check(Body(dict.fromkeys(table)), table)


def test_values_that_ask_for_nothing_pass() -> None:
    asked = {"length_penalty": 1.0, "use_beam_search": False, "bad_words": [], "best_of": 1}
    parameters.check(Body({**asked, "suffix": "", "skip_special_tokens": True}), COMPLETIONS)
    asked = {"tools": [], "tool_choice": "none", "functions": [], "function_call": "auto"}
    asked |= {"modalities": ["text"], "response_format": {"type": "text"}, "echo": False}
    parameters.check(Body({**asked, "user": "alice", "metadata": {"a": "b"}, "store": True}), CHAT)


def test_true_is_not_one() -> None:
    with pytest.raises(ApiError):
        parameters.check(Body({"length_penalty": True}), COMPLETIONS)


def test_a_name_that_nobody_knows_passes() -> None:
    parameters.check(Body({"flavour": {"of": "cherries"}}), CHAT)


# ---- The page that says all this -----------------------------------------------------------------

PAGE = settings.BASE_DIR / "docs" / "reference" / "openai-parameters.md"
INTRODUCTION = """# Parameters of the OpenAI API

Which parameters [`/v1`](api.md#openais-protocol) supports. This page is written from the tables that the site itself
uses (`inference_sandbox/openai/parameters.py`), and `UPDATE_DOCS=1` before
`script/test tests/inference_sandbox/test_parameters.py` writes it anew.

- **supported**: it has the meaning that it has in OpenAI's API, or in vLLM.
- **ignored**: it is accepted and has no effect, because it does not change the answer.
- **rejected**: it would change the answer, so a request with it is answered with 400 and `unsupported_parameter`. Null
  passes, and so do the values in brackets.

A name that is not here is ignored.
"""
TABLES = {
    "`/v1/completions`": COMPLETIONS,
    "`/v1/chat/completions`": CHAT,
    "`/v1/responses`": RESPONSES,
}


def test_the_page_of_parameters_says_what_the_tables_say() -> None:
    text = page()
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "UPDATE_DOCS=1 writes it anew"


def page() -> str:
    head = ("Parameter", *TABLES, "Instead")
    lines = [INTRODUCTION, f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in sorted({name for table in TABLES.values() for name in table}):
        found = [table.get(name) for table in TABLES.values()]
        reasons = dict.fromkeys(each.reason for each in found if each and each.reason)
        cells = (f"`{name}`", *map(cell, found), " ".join(map(sentence, reasons)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(parameter: Parameter | None) -> str:
    if parameter is None:
        return ""
    passes = ", ".join(f"`{json.dumps(value)}`" for value in parameter.neutral)
    return f"{parameter.handling.value}{f' ({passes})' if passes else ''}"


def sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:].removesuffix(f" {parameters.LEAVE_OUT}")
