"""Who is in the running batch, and what of it is computed next. Pure Python: no tensors.

The running requests hold rows 0 … n-1 of the cache, so that a step attends to one contiguous view.
When a row in the middle is freed, the last row moves into the gap; the engine is told to move the
cached keys and values along (`Move`). Requests that must be repeatable have rows of their own
behind the batch's, and are computed by themselves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from inference_sandbox.engine.request import Request, State

ALONE = 1  # rows for requests that are computed by themselves
# While others run, such a request is computed in one of so many steps: a forward pass of its own
# takes about as long as that of the whole batch.
STEPS_PER_TURN = 4


class Move(NamedTuple):
    """Cache row `source` must be copied to row `target` (the first `length` positions)."""

    source: int
    target: int
    length: int


@dataclass(frozen=True)
class Share:
    """A request's part of a step: its next `count` tokens that the cache does not hold."""

    request: Request
    count: int


class Scheduler:
    """chunk: tokens of prompts in one step while others wait for their next token; idle_chunk: else.

    A prompt longer than that is read over several steps, so that it never holds up the others by
    more than one chunk.
    """

    def __init__(self, max_batch: int, *, chunk: int = 128, idle_chunk: int = 512) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}.")
        self.max_batch, self.chunk, self.idle_chunk = max_batch, chunk, idle_chunk
        self.waiting: list[Request] = []
        self.running: list[Request] = []
        self.alone: list[Request] = []
        self._by_id: dict[str, Request] = {}
        self._added = 0
        self._steps_to_turn = 0  # of the requests that are computed by themselves

    @property
    def has_work(self) -> bool:
        return bool(self._by_id)

    def add(self, request: Request) -> None:
        if request.request_id in self._by_id:
            raise ValueError(f"Request {request.request_id!r} is already in the engine.")
        self._by_id[request.request_id] = request
        self._added += 1
        request.number = self._added
        self.waiting.append(request)

    def get(self, request_id: str) -> Request | None:
        return self._by_id.get(request_id)

    def admit(self) -> Request | None:
        """Give a free row to whoever's turn it is; None if either is lacking.

        The turn is that of the user who has the fewest requests running, and among theirs of the
        one that has waited longest: a hundred requests of one person do not starve another's one.
        """
        users = Counter(request.user for request in (*self.running, *self.alone))
        able = [request for request in self.waiting if self._has_row_for(request, users)]
        if not able:
            return None
        request = min(able, key=lambda one: users[one.user])  # the first of equals
        self.waiting.remove(request)
        request.state = State.RUNNING
        if request.params.repeatable:
            taken = {other.row for other in self.alone}
            rows = range(self.max_batch, self.max_batch + ALONE)
            request.row = next(row for row in rows if row not in taken)
            self.alone.append(request)
        else:
            request.row = len(self.running)
            self.running.append(request)
        return request

    def _has_row_for(self, request: Request, users: Counter[str]) -> bool:
        if request.params.repeatable:
            return len(self.alone) < ALONE
        # The last row is for whoever has nothing running yet.
        reserved = 1 if request.user and users[request.user] and self.max_batch > 1 else 0
        return len(self.running) < self.max_batch - reserved

    def plan(self) -> list[Share]:
        """What the next step computes of the batch: everybody's next token, and one chunk of prompts."""
        decoding = [r for r in self.running if r.length - r.read == 1]
        shares = [Share(request, 1) for request in decoding]
        left = self.chunk if decoding else self.idle_chunk
        reading = [r for r in self.running if r.length - r.read > 1]
        for request in sorted(reading, key=lambda one: one.number):
            count = min(left, request.length - request.read)
            if count:
                shares.append(Share(request, count))
            left -= count
        return shares

    @property
    def alone_is_due(self) -> bool:
        """Whether this step computes the requests that are computed by themselves."""
        return bool(self.alone) and (not self.running or self._steps_to_turn == 0)

    def plan_alone(self) -> list[Share]:
        """What the step computes of them, each in a forward pass of its own; once a step.

        Chunks of one size always, so that the numbers do not depend on who else is there.
        """
        if not self.alone_is_due:
            self._steps_to_turn = max(0, self._steps_to_turn - 1)
            return []
        self._steps_to_turn = STEPS_PER_TURN - 1
        return [Share(r, min(self.chunk, r.length - r.read)) for r in self.alone]

    def finish(self, request: Request) -> Move | None:
        """Let go of a request, waiting or running. Doing it twice does nothing."""
        if self._by_id.pop(request.request_id, None) is None:
            return None
        was_running, request.state = request.state is State.RUNNING, State.FINISHED
        if not was_running:
            self.waiting.remove(request)
            return None
        if request in self.alone:
            self.alone.remove(request)
            request.row = None
            return None
        return self._close_gap(request)

    def _close_gap(self, gone: Request) -> Move | None:
        assert gone.row is not None
        last, target, gone.row = self.running.pop(), gone.row, None
        if last is gone:
            return None
        self.running[target], last.row = last, target
        return Move(source=len(self.running), target=target, length=last.read)

    def clear(self) -> None:
        """Forget every request, after an error that leaves none of them usable."""
        for request in self._by_id.values():
            request.state, request.row = State.FINISHED, None
        for requests in (self.waiting, self.running, self.alone):
            requests.clear()
        self._by_id.clear()
