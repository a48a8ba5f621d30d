"""What is asked of the engine, and what it answers. Pure Python: safe to import in any process."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

    from inference_sandbox.engine.stopping import StopMatcher
    from inference_sandbox.engine.tokenizer import IncrementalDetokenizer


MOST_ALTERNATIVES = 20  # told with a token
# Below this a temperature is 0, and top_p keeps nothing but the likeliest token: both are greedy.
NEAR_ZERO = 1e-6
LEAST_REPETITION_PENALTY = 0.01  # logits divided by less may overflow
# name → (least, most). A step computes in float32: within these nothing becomes 0, NaN or infinite.
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (LEAST_REPETITION_PENALTY, 100),
    "presence_penalty": (-100, 100),
    "frequency_penalty": (-100, 100),
}
MAX_BIAS = 100
MAX_SEED = 2**64


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


class State(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


class InvalidRequest(ValueError):
    """The engine does not take this request; the text says why, to the person who made it."""


class PromptTooLong(InvalidRequest):
    """The prompt leaves no room for an answer: `count` tokens where `limit` are allowed."""

    def __init__(self, *, count: int, limit: int) -> None:
        super().__init__(
            f"The prompt has {count} tokens; this model takes at most {limit}. Shorten it."
        )
        self.count = count
        self.limit = limit


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How to choose the next tokens. Temperature 0 always takes the likeliest one.

    The order: penalties and biases on the logits, then temperature, then what top_k, top_p and
    min_p leave. Probabilities that are told (`logprobs`) are those of the model itself, before all
    that.
    """

    max_tokens: int = 256  # 0 reads the prompt alone
    temperature: float = 0.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0  # of the likeliest token's probability
    repetition_penalty: float = 1.0  # divides what was in prompt or answer (Keskar et al. 2019)
    presence_penalty: float = 0.0  # taken off once for what the answer has (OpenAI's API)
    frequency_penalty: float = 0.0  # taken off for each time that the answer has it
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    stop: tuple[str, ...] = ()  # the answer ends before the first of these
    stop_token_ids: tuple[int, ...] = ()  # and with the first of these, whose text is not shown
    min_tokens: int = 0  # before so many, none of these and no end-of-text token ends it
    seed: int = 0
    ignore_eos: bool = False
    logprobs: int | None = None  # alternatives told with each token of the answer; None: nothing
    prompt_logprobs: int | None = None  # the same for the prompt
    repeatable: bool = False  # in a batch of its own, with no prefix of another

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            _check(name, getattr(self, name), least, most)
        for name in ("max_tokens", "min_tokens", "top_k"):
            _check(name, getattr(self, name), 0, math.inf)
        _check("seed", self.seed, -MAX_SEED, MAX_SEED)
        for name in ("logprobs", "prompt_logprobs"):
            if (count := getattr(self, name)) is not None:
                _check(name, count, 0, MOST_ALTERNATIVES)
        for bias in self.logit_bias.values():
            _check("A value in logit_bias", bias, -MAX_BIAS, MAX_BIAS)
        if not all(self.stop):
            raise InvalidRequest("A stop string must not be empty.")
        if self.temperature < NEAR_ZERO or self.top_p < NEAR_ZERO:
            self._set(temperature=0.0, top_k=0, top_p=1.0, min_p=0.0)

    def _set(self, **values: float) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def penalises(self) -> bool:
        """Whether the logits depend on the tokens before."""
        return bool(self.repetition_penalty != 1 or self.presence_penalty or self.frequency_penalty)

    @property
    def takes_likeliest(self) -> bool:
        """Whether the next token is the likeliest of the model's own, whatever came before."""
        adjusted = self.penalises or self.logit_bias or self.min_tokens
        return self.temperature == 0 and not adjusted

    @property
    def token_ids(self) -> Iterable[int]:
        """The tokens that the parameters name."""
        return (*self.logit_bias, *self.stop_token_ids)


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # which NaN is not
        bounds = f"from {least} to {most}" if math.isfinite(most) else f"at least {least}"
        raise InvalidRequest(f"{name} must be {bounds}, not {value}.")


@dataclass(frozen=True)
class TokenScore:
    """What the model thought of one token: natural logarithms of its raw distribution.

    `logprob` and `entropy` (nats, of the distribution that the token was taken from) are None for a
    text's first token, which nothing precedes. `top`: the likeliest tokens, likeliest first.
    """

    token: int
    logprob: float | None
    entropy: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class StepOutput:
    """One request's share of a step.

    `token` is None when the step only ended the request, or only read of its prompt. `text` is what
    can be shown now: it lags behind `token` while a character is incomplete, or while it may be the
    beginning of a stop string. `score` belongs to `token`; `prompt` comes once, before the first
    token, to whoever asked for `prompt_logprobs`. `error` says what went wrong (reason ERROR).
    """

    request_id: str
    token: int | None
    text: str
    finish_reason: FinishReason | None = None
    error: str = ""
    score: TokenScore | None = None
    prompt: tuple[TokenScore, ...] | None = None


@dataclass(eq=False)
class Request:
    """A request on its way through the engine; `row` is its place in the running batch."""

    request_id: str
    prompt: tuple[int, ...]
    params: SamplingParams
    detokenizer: IncrementalDetokenizer
    generated: list[int]
    stopping: StopMatcher
    user: str = ""
    state: State = State.WAITING
    number: int = 0  # in the order of arrival
    row: int | None = None
    read: int = 0  # tokens whose keys and values the row holds
    scores: list[TokenScore] = field(default_factory=list)  # of the prompt, as far as it is read
    is_finite: bool = False  # a token was chosen: the row's keys and values are numbers

    @property
    def is_running(self) -> bool:
        return self.state is State.RUNNING

    @property
    def tokens(self) -> list[int]:
        return [*self.prompt, *self.generated]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.generated)

    @property
    def last(self) -> int:
        return self.generated[-1] if self.generated else self.prompt[-1]

    @property
    def may_share(self) -> bool:
        """Whether keys and values that another request computed will do."""
        return not self.params.repeatable and self.params.prompt_logprobs is None

    def push_text(self, token: int, number: int) -> str:
        """The text that can be shown with the answer's token of this number, from 1 on."""
        if token in self.params.stop_token_ids:
            return ""
        text = self.detokenizer.push(token)
        return self.stopping.push(text, may_stop=number > self.params.min_tokens)

    def barred(self, eos_ids: Set[int]) -> Set[int]:
        """Tokens that may not come next, because the answer would end too early."""
        if len(self.generated) >= self.params.min_tokens:
            return frozenset()
        return eos_ids | set(self.params.stop_token_ids)

    def _end_ids(self, eos_ids: Set[int]) -> Set[int]:
        ids = set(self.params.stop_token_ids)
        return ids if self.params.ignore_eos else ids | eos_ids

    def finish_reason(self, *, eos_ids: Set[int], context_limit: int) -> FinishReason | None:
        """Why nothing may follow the tokens generated so far, or None."""
        if self.stopping.stopped:
            return FinishReason.STOP
        if self.generated and self.generated[-1] in self._end_ids(eos_ids):
            return FinishReason.STOP
        if len(self.generated) >= self.params.max_tokens or self.length >= context_limit:
            return FinishReason.LENGTH
        return None
