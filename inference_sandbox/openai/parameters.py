"""Which parameters of a request are supported, ignored or rejected, endpoint by endpoint.

The names are those of OpenAI's API and of vLLM's; of other engines, those that are often sent along.
A parameter that would change the answer and that nothing here supports is rejected by name: an answer
that ignores it looks right and is not. A name that is in no table is ignored, as vLLM does, because
clients send names of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from inference_sandbox.openai.errors import ApiError, invalid
from inference_sandbox.openai.reading import Body


class Handling(Enum):
    SUPPORTED = "supported"
    IGNORED = "ignored"  # it does not change the answer
    REJECTED = "rejected"


@dataclass(frozen=True)
class Parameter:
    handling: Handling
    reason: str = ""  # why a value is rejected, and what to do instead
    neutral: tuple[Any, ...] = ()  # values beside null that ask for nothing, and pass


Table = Mapping[str, Parameter]


def supported(*names: str) -> dict[str, Parameter]:
    return dict.fromkeys(names, Parameter(Handling.SUPPORTED))


def ignored(*names: str) -> dict[str, Parameter]:
    return dict.fromkeys(names, Parameter(Handling.IGNORED))


def rejected(reason: str, *names: str, neutral: tuple[Any, ...] = ()) -> dict[str, Parameter]:
    return dict.fromkeys(names, Parameter(Handling.REJECTED, reason, neutral))


LEAVE_OUT = "Leave it out."
TEXT_ONLY = f"the models read and write text only. {LEAVE_OUT}"
NO_TOOLS = f"the models call no tools. {LEAVE_OUT}"
FREE_TEXT = f"answers are free text, constrained to no format. {LEAVE_OUT}"
NO_SEARCH = f"one answer is sampled for each choice. {LEAVE_OUT}"
NO_REASONING = f"the models have no separate reasoning. {LEAVE_OUT}"
WHOLE_PROMPT = f"a prompt is read whole, or refused as too long. {LEAVE_OUT}"
OTHER_SAMPLERS = f"use `temperature`, `top_k`, `top_p`, `min_p` and the penalties. {LEAVE_OUT}"
OTHER_TOKENS = f"use `logit_bias`. {LEAVE_OUT}"
AS_TEXT = f"control tokens and stop strings are not part of the text. {LEAVE_OUT}"

NOTHING: tuple[Any, ...] = (False, [], {}, "")

# What every endpoint that generates text has.
COMMON: Table = {
    **supported(
        *("model", "stream", "stream_options", "temperature", "top_p", "seed", "stop"),
        *("presence_penalty", "frequency_penalty", "logit_bias", "n"),
        # vLLM's and ours
        *("top_k", "min_p", "repetition_penalty", "ignore_eos", "repeatable"),
        *("return_token_ids", "add_special_tokens", "prompt_logprobs", "forced"),
        *("stop_token_ids", "min_tokens"),
    ),
    **ignored(
        *("user", "metadata", "store", "service_tier", "safety_identifier", "prediction"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
        *("priority", "request_id", "cache_salt", "kv_transfer_params", "ec_transfer_params"),
        *("return_token_offsets", "return_prompt_text", "spaces_between_special_tokens"),
        *(
            "guided_decoding_backend",
            "guided_whitespace_pattern",
            "truncation_side",
        ),
        *("mm_processor_kwargs", "media_io_kwargs"),
    ),
    **rejected(
        FREE_TEXT,
        *("structured_outputs", "structural_tag", "guided_json", "guided_regex"),
        *("guided_choice", "guided_grammar", "grammar", "json_schema"),
        neutral=NOTHING,
    ),
    **rejected(FREE_TEXT, "response_format", neutral=({"type": "text"},)),
    **rejected(NO_SEARCH, "use_beam_search", "early_stopping", neutral=(False,)),
    **rejected(NO_SEARCH, "num_beams", "length_penalty", neutral=(1,)),
    **rejected(OTHER_TOKENS, "allowed_token_ids", "bad_words", "logits_processors", neutral=([],)),
    **rejected(OTHER_SAMPLERS, "typical_p", neutral=(1,)),
    **rejected(OTHER_SAMPLERS, "no_repeat_ngram_size", "mirostat", neutral=(0,)),
    **rejected(OTHER_SAMPLERS, "repetition_detection", "vllm_xargs", neutral=NOTHING),
    **rejected(WHOLE_PROMPT, "truncate_prompt_tokens"),
    **rejected(AS_TEXT, "skip_special_tokens", neutral=(True,)),
    **rejected(AS_TEXT, "include_stop_str_in_output", neutral=(False,)),
    **rejected(
        f"use `return_token_ids`. {LEAVE_OUT}", "return_tokens_as_token_ids", neutral=(False,)
    ),
    **rejected(NO_REASONING, "thinking_token_budget", neutral=(-1,)),
    **rejected(f"use `max_tokens`. {LEAVE_OUT}", "max_new_tokens", "n_predict"),
}

COMPLETIONS: Table = {
    **COMMON,
    **supported("prompt", "max_tokens", "logprobs", "echo", "best_of"),
    **rejected("the models continue a text, they fill no gap.", "suffix", neutral=("",)),
    **rejected(f"send a text or token ids. {LEAVE_OUT}", "prompt_embeds"),
}

CHAT: Table = {
    **COMMON,
    **supported("messages", "max_tokens", "max_completion_tokens", "logprobs", "top_logprobs"),
    **ignored("parallel_tool_calls", "include_reasoning", "return_assistant_tokens_mask"),
    **rejected(NO_TOOLS, "tools", "functions", neutral=([],)),
    **rejected(NO_TOOLS, "tool_choice", "function_call", neutral=("none", "auto")),
    **rejected(NO_TOOLS, "web_search_options"),
    **rejected(TEXT_ONLY, "audio"),
    **rejected(TEXT_ONLY, "modalities", neutral=(["text"], [])),
    **rejected(NO_REASONING, "reasoning_effort", neutral=("none",)),
    **rejected(f"say it in a message. {LEAVE_OUT}", "verbosity", neutral=("medium",)),
    **rejected(f"the answer is all that you get. {LEAVE_OUT}", "moderation", neutral=({},)),
    **rejected(f"put them into a message. {LEAVE_OUT}", "documents", neutral=([],)),
    **rejected(
        f"a model's own chat template is used. {LEAVE_OUT}",
        *("chat_template", "chat_template_kwargs"),
        neutral=("", {}),
    ),
    **rejected(
        f"the answer alone is returned by a chat. {LEAVE_OUT}",
        "echo",
        "best_of",
        neutral=(False, 1),
    ),
    **supported("continue_final_message", "add_generation_prompt"),
}

NOT_STORED = "responses are not stored. Send the whole conversation in `input`."

RESPONSES: Table = {
    **COMMON,
    # What a chat rejects, a response rejects too.
    **{name: each for name, each in CHAT.items() if each.handling is Handling.REJECTED},
    **supported("input", "instructions", "max_output_tokens", "include", "top_logprobs"),
    **supported("text", "reasoning"),  # as far as OF_RESPONSES says
    **ignored("max_tool_calls", "parallel_tool_calls", "access_programs", "background_options"),
    **ignored("image"),  # how images are read, and there are none
    **rejected("use `max_output_tokens`.", "max_tokens", "max_completion_tokens"),
    **rejected(f"a response says nothing of its input. {LEAVE_OUT}", "prompt_logprobs"),
    **rejected("use `include` and `top_logprobs`.", "return_token_ids", neutral=(False,)),
    **rejected("use `input`.", "messages"),
    **rejected("use /v1/chat/completions.", "continue_final_message", neutral=(False,)),
    **rejected("use /v1/chat/completions.", "add_generation_prompt", neutral=(True,)),
    **rejected("use `include` and `top_logprobs`.", "logprobs", neutral=(False,)),
    **rejected("a response is one answer. Leave it out.", "n", "best_of", neutral=(1,)),
    **rejected(NOT_STORED, "previous_response_id", "conversation"),
    **rejected(NOT_STORED, "background", neutral=(False,)),
    **rejected("prompt templates are not stored. Send the text in `input`.", "prompt"),
    **rejected(WHOLE_PROMPT, "truncation", neutral=("disabled",)),
    **rejected(WHOLE_PROMPT, "context_management", neutral=([],)),
}
# What stands in the objects among its parameters.
OF_RESPONSES: Mapping[str, Table] = {
    "text": {
        **rejected(FREE_TEXT, "format", neutral=({"type": "text"},)),
        **rejected(f"say it in `instructions`. {LEAVE_OUT}", "verbosity", neutral=("medium",)),
    },
    "reasoning": {
        **rejected(NO_REASONING, "effort", neutral=("none",)),
        **rejected(NO_REASONING, "summary", "generate_summary"),
        **rejected(NO_REASONING, "context", neutral=("auto",)),
        **rejected(NO_REASONING, "mode", neutral=("standard",)),
    },
}


def check(body: Body, table: Table, prefix: str = "") -> None:
    """Raise the ApiError that names the first parameter here that the endpoint does not support.

    prefix: of the name, for a parameter that stands in an object.
    """
    for name, value in body.values.items():
        parameter = table.get(name)
        if value is None or parameter is None or parameter.handling is not Handling.REJECTED:
            continue
        if not any(_same(value, each) for each in parameter.neutral):
            raise unsupported(prefix + name, parameter.reason)


def unsupported(name: str, reason: str) -> ApiError:
    return invalid(name, f"`{name}` is not supported here: {reason}", "unsupported_parameter")


def _same(value: Any, neutral: Any) -> bool:
    """As in JSON, where true is not 1 but 1.0 is."""
    return isinstance(value, bool) is isinstance(neutral, bool) and bool(value == neutral)
