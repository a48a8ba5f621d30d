"""What a run has come to so far, over all workers that were at it."""

import math
import re
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from inference_sandbox.models import Run
from inference_sandbox.stream import Entry, Kind, written_so_far

Record = list[Any]  # of one token, as in RunTokens
LARGEST = 9999.0  # what stands for an infinite logarithm, as with vLLM
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass
class Answer:
    texts: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    records: list[Record | None] = field(default_factory=list)  # one for each of the tokens
    prompt: list[Record] = field(default_factory=list)
    begun: bool = False  # an engine has had it, and it is charged
    first_at: float | None = None  # monotonic seconds, of this worker's first token
    rate: float | None = None  # tokens a second, since this worker's first token
    made_here: int = 0
    status: Run.Status = Run.Status.FINISHED
    finish_reason: str = ""
    error: str = ""

    def take(self, token: int | None, text: str, record: Record | None = None) -> None:
        self.texts.append(text)
        if token is not None:
            self.tokens.append(token)
            self.records.append(record)

    @classmethod
    def so_far(cls, run_id: UUID) -> "Answer":
        """What the workers before have written into the stream."""
        answer = cls()
        for entry in written_so_far(run_id):
            answer.take_entry(entry)
        return answer

    def take_entry(self, entry: Entry) -> None:
        if entry.kind is Kind.START:
            self.begun = True
            return
        if entry.kind is Kind.PROMPT:
            self.prompt = entry.data["s"]
            return
        self.take(entry.data["t"], entry.data["x"], entry.data.get("r"))
        self.finish_reason = entry.data.get("f", "")

    def clock(self) -> None:
        """A token was made here and now."""
        now = time.monotonic()
        self.made_here += 1
        if self.first_at is None:
            self.first_at = now
        elif now > self.first_at:
            self.rate = (self.made_here - 1) / (now - self.first_at)

    def end(self, status: Run.Status, finish_reason: str, error: str = "") -> "Answer":
        self.status, self.finish_reason, self.error = status, finish_reason, error
        return self


def printable(text: str) -> str:
    """The text with U+FFFD for what no page, stream or database holds: NUL and lone surrogates."""
    return _UNPRINTABLE.sub("\ufffd", text)


def rounded(number: float | None) -> float | None:
    """A logarithm as JSON can hold it: none where it is no number, no infinity."""
    if number is None or math.isnan(number):
        return None
    return round(min(max(number, -LARGEST), LARGEST), 6)
