"""Parameters of `/v1/responses`: a conversation of text in, one message out, and nothing is stored."""

from typing import Any

from inference_sandbox.openai import parameters
from inference_sandbox.openai.errors import invalid
from inference_sandbox.openai.parameters import unsupported
from inference_sandbox.openai.reading import Body, wrong
from inference_sandbox.openai.wanted import SPOKEN_AS, Wanted, common

LOGPROBS = "message.output_text.logprobs"
ROLES = ("user", "assistant", "system", "developer")
# Kind of a content → the field that has its text.
TEXT_PARTS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}
# Fields that the answer repeats as they were sent.
REPEATED = (
    *("instructions", "max_output_tokens", "max_tool_calls", "prompt_cache_key"),
    *("safety_identifier", "user"),
)


def response(body: Body, model: str = "") -> Wanted:
    """A request to `responses`."""
    parameters.check(body, parameters.RESPONSES)
    for name, table in parameters.OF_RESPONSES.items():
        parameters.check(Body(body.table(name)), table, f"{name}.")
    has_logprobs = _has_logprobs(body)
    alternatives = body.whole("top_logprobs") or 0
    if alternatives and not has_logprobs:
        raise invalid("top_logprobs", f"`top_logprobs` needs `include` to have `{LOGPROBS}`.")
    return Wanted(
        **common(body, model),
        is_chat=True,
        is_response=True,
        messages=_messages(body),
        max_tokens=body.whole("max_output_tokens"),
        logprobs=alternatives if has_logprobs else None,
        repeated=_repeated(body),
        names={
            **dict.fromkeys(("prompt", "messages", "mode"), "input"),
            "max_tokens": "max_output_tokens",
            "logprobs": "top_logprobs",
        },
    )


def _has_logprobs(body: Body) -> bool:
    include = body.get("include") or []
    if not isinstance(include, list):
        raise wrong("include", "a list of strings")
    for name in include:
        if name != LOGPROBS:
            raise unsupported("include", f"the one value that it can have is `{LOGPROBS}`.")
    return bool(include)


def _repeated(body: Body) -> dict[str, Any]:
    metadata = body.table("metadata")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise wrong("metadata", "an object of strings")
    return {
        **{name: body.get(name) for name in REPEATED},
        "metadata": metadata,
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "temperature": body.real("temperature", 1),
        "top_p": body.real("top_p", 1),
        "top_logprobs": body.whole("top_logprobs") or 0,
    }


def _messages(body: Body) -> list[dict[str, str]]:
    value = body.get("input")
    if value is None:
        body.text("input")  # which says that it is missing
    items = [{"role": "user", "content": value}] if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        raise wrong("input", "a string, or a list of messages that is not empty")
    messages = [_message(item) for item in items]
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body.text("instructions")})
    return messages


def _message(item: Any) -> dict[str, str]:
    kind = item.get("type") or "message" if isinstance(item, dict) else None
    if kind == "item_reference":
        raise unsupported("input", f"no item can be referred to, because {parameters.NOT_STORED}")
    if kind != "message":
        raise unsupported("input", f"its items are messages, not `{str(kind)[:40]}`.")
    role = item.get("role")
    if role not in ROLES:
        raise wrong("input", f"messages, each with a role of {', '.join(ROLES)}")
    return {"role": SPOKEN_AS.get(role, role), "content": _content(item.get("content"))}


def _content(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise wrong("input", "messages, each with a content of text")
    return "".join(map(_text_of_part, value))


def _text_of_part(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in TEXT_PARTS:
        raise unsupported(
            "input", f"a content is input_text or output_text, not `{str(kind)[:40]}`."
        )
    text = part.get(TEXT_PARTS[kind])
    if not isinstance(text, str):
        raise wrong("input", f"messages in which each {kind} has a text")
    return text
