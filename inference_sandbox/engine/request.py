"""What is asked of the engine, and what it answers. Pure Python: safe to import in any process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set

    from inference_sandbox.engine.tokenizer import IncrementalDetokenizer


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


class State(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


class PromptTooLong(ValueError):
    """The prompt leaves no room for an answer: `count` tokens where `limit` are allowed."""

    def __init__(self, *, count: int, limit: int) -> None:
        super().__init__(
            f"The prompt has {count} tokens; this model takes at most {limit}. Shorten it."
        )
        self.count = count
        self.limit = limit


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How to choose the next tokens. Temperature 0 always takes the likeliest one."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}.")


@dataclass(frozen=True)
class StepOutput:
    """One request's share of a step.

    `token` is None when the step only ended the request. `text` is what can be shown now: it lags
    behind `token` while a character is incomplete. `error` says what went wrong (reason ERROR).
    """

    request_id: str
    token: int | None
    text: str
    finish_reason: FinishReason | None = None
    error: str = ""


@dataclass(eq=False)
class Request:
    """A request on its way through the engine; `row` is its place in the running batch."""

    request_id: str
    prompt: tuple[int, ...]
    params: SamplingParams
    detokenizer: IncrementalDetokenizer
    generated: list[int]
    state: State = State.WAITING
    row: int | None = None

    @property
    def tokens(self) -> list[int]:
        return [*self.prompt, *self.generated]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.generated)

    def finish_reason(self, *, eos_ids: Set[int], context_limit: int) -> FinishReason | None:
        """Why nothing may follow the tokens generated so far, or None."""
        if self.generated and self.generated[-1] in eos_ids and not self.params.ignore_eos:
            return FinishReason.STOP
        if len(self.generated) >= self.params.max_tokens or self.length >= context_limit:
            return FinishReason.LENGTH
        return None
