"""Who is in the running batch. Pure Python: it moves requests, never tensors.

The running batch is always rows 0 … n-1 of the cache, so that a step computes over one contiguous
view. When a row in the middle is freed, the last row moves into the gap; the engine is told to
move the cached keys and values along (`Move`).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from inference_sandbox.engine.request import Request, State


class Move(NamedTuple):
    """Cache row `source` must be copied to row `target` (the first `length` positions)."""

    source: int
    target: int
    length: int


class Scheduler:
    def __init__(self, max_batch: int) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}.")
        self.max_batch = max_batch
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self._by_id: dict[str, Request] = {}

    @property
    def has_work(self) -> bool:
        return bool(self._by_id)

    def add(self, request: Request) -> None:
        if request.request_id in self._by_id:
            raise ValueError(f"Request {request.request_id!r} is already in the engine.")
        self._by_id[request.request_id] = request
        self.waiting.append(request)

    def get(self, request_id: str) -> Request | None:
        return self._by_id.get(request_id)

    def admit(self) -> Request | None:
        """Give a free row to the request that has waited longest; None if either is lacking."""
        if not self.waiting or len(self.running) >= self.max_batch:
            return None
        request = self.waiting.popleft()
        request.state, request.row = State.RUNNING, len(self.running)
        self.running.append(request)
        return request

    def finish(self, request: Request) -> Move | None:
        """Let go of a request, waiting or running. Doing it twice does nothing."""
        if self._by_id.pop(request.request_id, None) is None:
            return None
        was_running, request.state = request.state is State.RUNNING, State.FINISHED
        if not was_running:
            self.waiting.remove(request)
            return None
        return self._close_gap(request)

    def _close_gap(self, gone: Request) -> Move | None:
        assert gone.row is not None
        last, target, gone.row = self.running.pop(), gone.row, None
        if last is gone:
            return None
        self.running[target], last.row = last, target
        return Move(source=len(self.running), target=target, length=last.length)

    def clear(self) -> None:
        """Forget every request, after an error that leaves none of them usable."""
        for request in self._by_id.values():
            request.state, request.row = State.FINISHED, None
        self.waiting.clear()
        self.running.clear()
        self._by_id.clear()
