"""What may be asked of a model: the names, what stands where nothing is said, and the bounds."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from django.conf import settings

from distribution.errors import StoreError
from distribution.models import Revision
from inference_sandbox import tokens
from inference_sandbox.engine.request import LEAST_REPETITION_PENALTY, MOST_ALTERNATIVES
from inference_sandbox.models import Run
from portal.refusals import Code, Refusal

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from inference_sandbox.engine.tokenizer import Tokenizer

MAX_SEED = 2**63 - 1
MOST_STOPS, LONGEST_STOP = 16, 200
MOST_STOP_TOKENS = 128
MOST_BIASES = 300  # as in OpenAI's API
MOST_DETOKENIZED = 32  # times the context, in one request for a text
# More than any token has: a prompt beyond it is too long, and costs nothing to be counted.
CHARACTERS_OF_A_TOKEN = 128


class Asked(TypedDict, total=False):
    """One prompt with its parameters, as `Run` keeps them; what is left out has Run's default.

    The prompt is one of three: `prompt` (text, in the mode's template), `messages` (a conversation,
    mode chat), `prompt_ids` (tokens, taken as they are).
    """

    mode: str
    prompt: str
    messages: Sequence[Mapping[str, str]]
    prompt_ids: Sequence[int]
    forced: Sequence[int]  # tokens that the answer begins with
    parent: Run | None
    repeats: Run | None
    max_tokens: int  # 0 reads the prompt alone
    temperature: float  # 0 to 2, 0 takes the likeliest token each time
    top_k: int  # 0: all
    top_p: float  # 0 to 1, 0 takes the likeliest token each time
    min_p: float  # 0 to 1
    repetition_penalty: float  # 0.01 to 2
    presence_penalty: float  # -2 to 2
    frequency_penalty: float  # -2 to 2
    logit_bias: Mapping[str, float]
    stop: Sequence[str]
    stop_token_ids: Sequence[int]
    min_tokens: int  # up to max_tokens
    seed: int | None
    ignore_eos: bool
    logprobs: int | None
    prompt_logprobs: int | None
    repeatable: bool
    keep: bool


# name → (least, most, name for people)
BOUNDS: dict[str, tuple[float, float, str]] = {
    "temperature": (0, 2, "temperature"),
    "top_k": (0, 1_000_000, "top-k"),
    "top_p": (0, 1, "top-p"),
    "min_p": (0, 1, "min-p"),
    "repetition_penalty": (LEAST_REPETITION_PENALTY, 2, "repetition penalty"),
    "presence_penalty": (-2, 2, "presence penalty"),
    "frequency_penalty": (-2, 2, "frequency penalty"),
    "seed": (0, MAX_SEED, "seed"),
    "logprobs": (0, MOST_ALTERNATIVES, "number of alternatives"),
    "prompt_logprobs": (0, MOST_ALTERNATIVES, "number of the prompt's alternatives"),
}


def check(revision: Revision, asked: Asked) -> dict[str, Any]:
    """The fields of a Run. Raises the Refusal that names the field at fault."""
    given: dict[str, Any] = {**asked}
    if given.get("seed") is None:
        given.pop("seed", None)
    _check_numbers(given)
    _check_lists(given)
    limit = tokens.context_limit(revision)
    _check_lengths(given, limit)
    ids = _prompt_tokens(revision, given, limit)
    for name in ("forced", "logit_bias", "stop_token_ids"):
        _check_tokens(revision, name, given)
    max_tokens = given.get("max_tokens", Run().max_tokens)
    _check_room(len(ids), max(max_tokens, len(given.get("forced", ()))), limit)
    return {**given, "max_tokens": max_tokens, "prompt_tokens": len(ids)}


def _check_numbers(given: dict[str, Any]) -> None:
    # Written so that NaN, which compares false with everything, is refused. No conversion: a whole
    # number may be too large for a float.
    for name, (least, most, words) in BOUNDS.items():
        value = given.get(name)
        if value is not None and not least <= value <= most:
            raise invalid(name, f"The {words} must be from {least} to {most}, not {value}.")
    most_tokens = settings.SANDBOX_MAX_TOKENS
    asked_tokens = given.get("max_tokens", 1)
    reads = given.get("prompt_logprobs") is not None
    if not (0 if reads else 1) <= asked_tokens <= most_tokens:
        raise invalid("max_tokens", f"Ask for 1 to {most_tokens} tokens, not {asked_tokens}.")
    least, most = given.get("min_tokens", 0), given.get("max_tokens", Run().max_tokens)
    if not 0 <= least <= most:
        raise invalid(
            "min_tokens", f"min_tokens must be from 0 to max_tokens, {most}, not {least}."
        )


def _check_lists(given: dict[str, Any]) -> None:
    stops = list(given.get("stop", ()))
    if len(stops) > MOST_STOPS or not all(0 < len(stop) <= LONGEST_STOP for stop in stops):
        raise invalid(
            "stop",
            f"Give at most {MOST_STOPS} stop strings of 1 to {LONGEST_STOP} characters each.",
        )
    for stop in stops:
        _check_characters("stop", stop)
    if len(given.get("stop_token_ids", ())) > MOST_STOP_TOKENS:
        raise invalid("stop_token_ids", f"Give at most {MOST_STOP_TOKENS} tokens that end it.")
    biases = given.get("logit_bias", {})
    if len(biases) > MOST_BIASES:
        raise invalid("logit_bias", f"Give at most {MOST_BIASES} biases, not {len(biases):,}.")
    for bias in biases.values():
        if not -100 <= bias <= 100:
            raise invalid("logit_bias", f"A bias must be from -100 to 100, not {bias}.")


def _check_lengths(given: Mapping[str, Any], limit: int) -> None:
    """What cannot fit into the context is refused before anything is read of it."""
    for name, described in (
        ("prompt_ids", "Your prompt has {:,} tokens."),
        ("forced", "`forced` has {:,} tokens."),
        ("messages", "Your conversation has {:,} messages."),
    ):
        if len(given.get(name) or ()) >= limit:
            raise _too_long(name, limit, described.format(len(given[name])))
    texts = [text for message in given.get("messages") or () for text in message.values()]
    check_length(sum(map(len, texts)), "messages", limit=limit)


def _check_tokens(revision: Revision, name: str, given: dict[str, Any]) -> None:
    """Tokens that came as numbers must be the model's."""
    _check_ids(revision, name, map(int, given.get(name, ())))


def _check_ids(revision: Revision, name: str, ids: Iterable[int]) -> None:
    tokenizer_of(revision)  # which says in words for people what is wrong, if it is not there
    known = tokens.vocab_size_of(revision)
    for token in ids:
        if not 0 <= token < known:
            raise invalid(
                name, f"Token {token} is outside the {known:,} of {revision.release.name}."
            )


def _check_room(count: int, max_tokens: int, limit: int) -> None:
    if count >= limit:
        raise _too_long("prompt", limit, f"Your prompt has {count:,} tokens.")
    if count + max_tokens > limit:
        raise _too_long(
            "max_tokens",
            limit,
            f"Your prompt has {count:,} tokens and you ask for {max_tokens:,} more.",
            f"Ask for at most {limit - count:,} tokens, or shorten the prompt.",
        )


def _prompt_tokens(revision: Revision, given: dict[str, Any], limit: int) -> list[int]:
    """The prompt as the model will read it; `prompt` becomes what people read of it."""
    from inference_sandbox.engine.tokenizer import TokenizerError

    mode, messages = given.get("mode", Run.Mode.PLAIN), given.get("messages", ())
    if mode not in Run.Mode.values:
        raise invalid("mode", f"The mode must be one of {', '.join(Run.Mode.values)}.")
    tokenizer = tokenizer_of(revision)
    if ids := given.get("prompt_ids"):
        _check_tokens(revision, "prompt_ids", given)
        given["prompt"] = tokenizer.decode(ids).replace("\x00", "\ufffd")
        return list(ids)
    if messages:
        _check_messages(messages)
        given["prompt"] = messages[-1].get("content", "")
    else:
        _check_text(given.get("prompt", ""), "prompt", limit=limit)
    try:
        ids = tokens.encode(tokenizer, mode, given["prompt"], messages)
    except TokenizerError as error:
        raise invalid("mode", str(error)) from error
    _check_ids(revision, "prompt", ids)  # a tokenizer may have more tokens than its model
    return ids


def tokens_of_text(
    revision: Revision, text: str, *, bos: bool = False, with_control_tokens: bool = False
) -> list[int]:
    """A text's own tokens; `bos`: behind the one that begins a text, where the model has it so.

    Control tokens are text, but `with_control_tokens`. Raises Refusal for what cannot be a prompt.
    """
    check_length(len(text), "prompt", limit=tokens.context_limit(revision))
    _check_characters("prompt", text)
    tokenizer = tokenizer_of(revision)
    encode = tokenizer.encode_with_control_tokens if with_control_tokens else tokenizer.encode
    ids = encode(text, bos=None if bos else False)
    if not ids:
        raise _empty("prompt")
    return ids


def tokens_of_chat(
    revision: Revision,
    messages: Sequence[Mapping[str, str]],
    *,
    bos: bool = False,
    continue_final_message: bool = False,
) -> list[int]:
    """A conversation's tokens where they are to be others than those of a run in mode chat.

    bos: behind the token that begins a text, which most templates write by themselves.
    continue_final_message: up to the end of what was said last, for the model to go on with it.
    Raises Refusal for what cannot be a prompt.
    """
    from inference_sandbox.engine.tokenizer import TokenizerError

    _check_lengths({"messages": messages}, tokens.context_limit(revision))
    _check_messages(messages)
    tokenizer = tokenizer_of(revision)
    try:
        ids = tokenizer.encode_chat(messages, continue_final_message=continue_final_message)
    except TokenizerError as error:
        raise invalid("messages", str(error)) from error
    return [*(tokenizer.encode("") if bos else ()), *ids]


def _check_messages(messages: Sequence[Mapping[str, str]]) -> None:
    """Any may be empty but the question: what a person says last, or all that is said."""
    for message in messages:
        for text in message.values():
            _check_characters("messages", text)
    said = [message.get("content", "").strip() for message in messages]
    if not any(said) or (messages[-1].get("role") == "user" and not said[-1]):
        raise _empty("messages")


def _check_text(text: str, name: str, *, limit: int) -> None:
    check_length(len(text), name, limit=limit)
    if not text.strip():
        raise _empty(name)
    _check_characters(name, text)


def check_length(length: int, name: str, *, limit: int) -> None:
    """Raise the Refusal TOO_LONG for so many characters as no prompt of `limit` tokens has."""
    if length > limit * CHARACTERS_OF_A_TOKEN:
        raise _too_long(name, limit, f"Your prompt has {length:,} characters.")


def _check_characters(name: str, text: str) -> None:
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise invalid(name, "The text holds a character that is no text (NUL or half a pair).")


def tokenizer_of(revision: Revision) -> "Tokenizer":
    """The revision's tokenizer. Raises Refusal where it cannot be had."""
    from inference_sandbox.engine.tokenizer import TokenizerError

    name = revision.release.name
    try:
        return tokens.tokenizer_of(revision)
    except StoreError as error:
        # What a store says names its address and keys: it is for operators.
        log.warning("the tokenizer of %s could not be fetched: %s", revision, error)
        cause = f"The store does not give the tokenizer of {name} just now."
    except TokenizerError as error:
        cause = f"The tokenizer of {name} cannot be read: {error}"
    raise Refusal(
        Code.UNAVAILABLE,
        cause,
        "Try again in a minute; if it stays so, tell a manager of this site.",
    )


def _empty(name: str) -> Refusal:
    return invalid(name, "The prompt is empty: write what the model shall go on from.")


def invalid(name: str, sentence: str) -> Refusal:
    return Refusal(Code.INVALID, sentence, "Correct it and try again.", fields={name: [sentence]})


def _too_long(name: str, limit: int, found: str, way_out: str = "") -> Refusal:
    """In the words by which clients of OpenAI's API know that a prompt is too long."""
    detail = f"This model's maximum context length is {limit} tokens, prompt and answer together. {found}"
    way_out = way_out or f"Shorten the prompt to fewer than {limit:,} tokens."
    return Refusal(Code.TOO_LONG, detail, way_out, fields={name: [f"{detail} {way_out}"]})
