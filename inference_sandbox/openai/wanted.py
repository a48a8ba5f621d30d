"""What a client's body asks for, in our words. Defaults are those of OpenAI's API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference_sandbox.asking import MAX_SEED, Asked
from inference_sandbox.openai import parameters
from inference_sandbox.openai.errors import PARAMS, invalid
from inference_sandbox.openai.parameters import unsupported
from inference_sandbox.openai.reading import Body, number, wrong
from inference_sandbox.services import MOST_RUNS_OF_A_JOB

Prompt = str | list[int]
ROLES = ("system", "developer", "user", "assistant", "tool")
# Templates know no developer; who speaks as one means to set the frame, as a system message does.
SPOKEN_AS = {"developer": "system"}


@dataclass(frozen=True)
class Wanted:
    model: str
    is_chat: bool
    n: int
    max_tokens: int | None  # None: as many as fit
    logprobs: int | None
    prompt_logprobs: int | None
    is_stream: bool
    include_usage: bool
    token_ids: bool  # told with the text, as vLLM does
    seed: int | None
    sampling: Asked
    prompts: Sequence[Prompt] = ()
    messages: Sequence[dict[str, str]] = ()
    echo: bool = False
    continues: bool = False  # the last message, instead of answering it
    add_special_tokens: bool = False  # the token that begins a text, before a prompt
    is_response: bool = False
    repeated: Mapping[str, Any] = field(default_factory=dict)  # fields that the answer repeats
    names: Mapping[str, str] = field(default_factory=lambda: PARAMS)  # how it calls our fields

    def seed_of(self, choice: int) -> int | None:
        """The choices of one prompt differ, and are the same again at the next time."""
        return None if self.seed is None else (self.seed + choice) % (MAX_SEED + 1)


def completion(body: Body, model: str = "") -> Wanted:
    """A request to `completions`."""
    parameters.check(body, parameters.COMPLETIONS)
    values = common(body, model, begins=True)
    if body.whole("best_of", values["n"]) != values["n"]:
        raise unsupported("best_of", "every choice that is made is returned. Leave it out.")
    return Wanted(
        **values,
        is_chat=False,
        prompts=_prompts(body, values["n"]),
        max_tokens=body.whole("max_tokens", 16),
        logprobs=body.whole("logprobs"),
        echo=body.flag("echo"),
    )


def chat(body: Body, model: str = "") -> Wanted:
    """A request to `chat/completions`."""
    parameters.check(body, parameters.CHAT)
    newer = body.get("max_completion_tokens") is not None
    told = body.whole("top_logprobs")
    if told and not body.flag("logprobs"):
        raise invalid("top_logprobs", "`top_logprobs` needs `logprobs` to be true.")
    return Wanted(
        **common(body, model),
        is_chat=True,
        messages=_messages(body),
        continues=_continues(body),
        max_tokens=body.whole("max_completion_tokens", body.whole("max_tokens")),
        logprobs=(told or 0) if body.flag("logprobs") else None,
        names={
            **{"prompt": "messages", "mode": "messages", "logprobs": "top_logprobs"},
            **({"max_tokens": "max_completion_tokens"} if newer else {}),
        },
    )


def common(body: Body, model: str, *, begins: bool = False) -> dict[str, Any]:
    """What all kinds of request have. A model that the address names is meant, whatever else is.

    begins: whether a prompt begins with the model's BOS where the request does not say; the
    template of a conversation writes it by itself.
    """
    options = Body(body.table("stream_options"))
    n = 1 if body.get("n") is None else body.whole("n") or 0
    if not 1 <= n <= MOST_RUNS_OF_A_JOB:
        raise invalid("n", f"`n` must be from 1 to {MOST_RUNS_OF_A_JOB}.")
    return {
        "model": model or body.text("model"),
        "n": n,
        "is_stream": body.flag("stream"),
        "include_usage": options.flag("include_usage"),
        "token_ids": body.flag("return_token_ids"),
        "prompt_logprobs": _prompt_logprobs(body),
        "add_special_tokens": body.flag("add_special_tokens", default=begins),
        "seed": body.whole("seed"),
        "sampling": _sampling(body),
    }


def _sampling(body: Body) -> Asked:
    return Asked(
        temperature=body.real("temperature", 1),
        top_k=max(body.whole("top_k") or 0, 0),  # -1 is how some clients write: all
        top_p=body.real("top_p", 1),
        min_p=body.real("min_p", 0),
        repetition_penalty=body.real("repetition_penalty", 1),
        presence_penalty=body.real("presence_penalty", 0),
        frequency_penalty=body.real("frequency_penalty", 0),
        logit_bias=_biases(body.table("logit_bias")),
        stop=_stops(body.get("stop")),
        stop_token_ids=_token_ids(body, "stop_token_ids"),
        min_tokens=body.whole("min_tokens") or 0,
        forced=_token_ids(body, "forced"),
        ignore_eos=body.flag("ignore_eos"),
        repeatable=body.flag("repeatable"),
    )


def _prompt_logprobs(body: Body) -> int | None:
    count = body.whole("prompt_logprobs")
    if count is not None and body.flag("stream"):
        raise invalid("prompt_logprobs", "`prompt_logprobs` are not available in a stream.")
    return count


def _token_ids(body: Body, name: str) -> list[int]:
    ids = body.get(name) or []
    if not isinstance(ids, list) or not all(map(_is_token, ids)):
        raise wrong(name, "a list of token ids")
    return ids


def _biases(table: dict[str, Any]) -> dict[str, float]:
    if not all(token.isascii() and token.isdigit() and len(token) < 19 for token in table):
        raise invalid("logit_bias", "The names in `logit_bias` must be token ids.")
    return {token: number("logit_bias", bias) for token, bias in table.items()}


def _stops(value: Any) -> list[str]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise wrong("stop", "a string or a list of strings")
    return stops


def _prompts(body: Body, n: int) -> list[Prompt]:
    """A text, a list of texts, the tokens of one prompt, or a list of those; each gets `n` choices."""
    value = body.get("prompt")
    if value is None:
        body.text("prompt")  # which says that it is missing
    if isinstance(value, str) or (isinstance(value, list) and value and _is_token(value[0])):
        value = [value]
    if not isinstance(value, list) or not value:
        raise wrong("prompt", "a string, tokens, or a list of either that is not empty")
    if len(value) * n > MOST_RUNS_OF_A_JOB:
        raise invalid(
            "prompt",
            f"Ask for 1 to {MOST_RUNS_OF_A_JOB} choices in one request, not {len(value) * n:,}.",
        )
    return [_prompt(each) for each in value]


def _prompt(value: Any) -> Prompt:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(map(_is_token, value)):
        raise wrong("prompt", "a string, tokens, or a list of either; none of them empty")
    return value


def _is_token(value: Any) -> bool:
    return type(value) is int


def _continues(body: Body) -> bool:
    """`continue_final_message` with `add_generation_prompt`, which is its opposite."""
    continues = body.flag("continue_final_message")
    begins = body.flag("add_generation_prompt", default=not continues)
    if continues and begins:
        raise invalid(
            "add_generation_prompt",
            "`add_generation_prompt` and `continue_final_message` exclude each other.",
        )
    if not continues and not begins:
        raise unsupported(
            "add_generation_prompt", "it can be false with `continue_final_message` only."
        )
    return continues


def _messages(body: Body) -> list[dict[str, str]]:
    value = body.get("messages")
    if value is None:
        body.text("messages")
    if not isinstance(value, list) or not value:
        raise wrong("messages", "a list of messages that is not empty")
    return [_message(each) for each in value]


def _message(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or value.get("role") not in ROLES:
        raise wrong("messages", f"messages, each with a role of {', '.join(ROLES)}")
    for name in ("tool_calls", "function_call", "audio"):
        if value.get(name):
            raise unsupported("messages", f"a message has `{name}`, {parameters.TEXT_ONLY}")
    role = str(value["role"])
    message = {"role": SPOKEN_AS.get(role, role), "content": _content(value)}
    speaker = value.get("name")
    if speaker is not None:
        if not isinstance(speaker, str):
            raise wrong("messages", "messages whose `name` is a string")
        message["name"] = speaker  # which some templates write
    return message


def _content(message: dict[str, Any]) -> str:
    """A text, or parts of which each is one. An assistant may have refused, or said nothing."""
    value = message.get("content")
    if message["role"] == "assistant" and value is None:
        value = message.get("refusal") or ""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise wrong("messages", "messages with a content of text; nothing else can be read here")
    return "".join(map(_part, value))


def _part(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in ("text", "refusal") or not isinstance(part.get(kind), str):
        raise wrong("messages", "messages with parts of text; nothing else can be read here")
    return str(part[kind])
