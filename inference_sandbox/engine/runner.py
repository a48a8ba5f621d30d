"""One thread owns the engine; any number of threads hand it requests and read their answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from inference_sandbox.engine.engine import Engine
from inference_sandbox.engine.request import FinishReason, SamplingParams, StepOutput

logger = logging.getLogger(__name__)


class EngineRunner:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()  # guards the three below
        # What the engine's thread is to do next, and for which request.
        self._orders: list[tuple[str, Callable[[], None]]] = []
        self._readers: dict[str, SimpleQueue[StepOutput]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        request_id: str,
        prompt_tokens: Sequence[int],
        params: SamplingParams,
        generated: Sequence[int] = (),
        *,
        user: str = "",
    ) -> Iterator[StepOutput]:
        """Start a request now; iterate over its outputs, the last of which has a finish reason.

        `user`: whose it is; who has fewer requests running comes first.

        Raises InvalidRequest at once. Leaving the iteration early cancels the request.
        """
        self._engine.check(prompt_tokens, params, generated)
        reader: SimpleQueue[StepOutput] = SimpleQueue()
        with self._changed:
            if self._stopping:
                raise RuntimeError("The engine has been stopped.")
            if request_id in self._readers:
                raise ValueError(f"Request {request_id!r} is already in the engine.")
            self._readers[request_id] = reader
            self._order(
                request_id,
                lambda: self._engine.add(
                    request_id, prompt_tokens, params, generated=generated, user=user
                ),
            )
        return self._read(request_id, reader)

    def cancel(self, request_id: str) -> None:
        """Ask for a request's end. Unknown or ended ids have no effect."""
        with self._changed:
            if request_id in self._readers:
                self._order(request_id, lambda: self._engine.cancel(request_id))

    def load(self) -> tuple[int, int, int]:
        """Requests running, requests waiting, and rows in all, as of a moment ago. In any thread."""
        return self._engine.occupancy

    def stop(self, timeout: float | None = None) -> None:
        """End the thread after the current step; requests still open get an ERROR output."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout)

    def _order(self, request_id: str, order: Callable[[], None]) -> None:
        self._orders.append((request_id, order))
        self._changed.notify()

    def _read(self, request_id: str, reader: SimpleQueue[StepOutput]) -> Iterator[StepOutput]:
        finished = False
        try:
            while not finished:
                output = reader.get()
                finished = output.finish_reason is not None
                yield output
        finally:
            if not finished:
                self.cancel(request_id)

    def _run(self) -> None:
        while self._await_work():
            try:
                self._follow_orders()
                outputs = self._engine.step()
            except Exception as error:
                # No request survives a failed step, but the next ones must find a working engine.
                logger.exception("The engine failed; its open requests end with an error.")
                self._engine.reset()
                self._fail_all(f"{type(error).__name__}: {error}")
            else:
                for output in outputs:
                    self._deliver(output)
        self._fail_all("The engine has been stopped.")

    def _await_work(self) -> bool:
        """Sleep until there is something to do; False when it is time to go."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or bool(self._orders) or self._engine.has_work
            )
            return not self._stopping

    def _follow_orders(self) -> None:
        with self._changed:
            orders, self._orders = self._orders, []
        for request_id, order in orders:
            try:
                order()
            except Exception as error:
                logger.exception("Request %s failed before its first step.", request_id)
                message = f"{type(error).__name__}: {error}"
                self._deliver(StepOutput(request_id, None, "", FinishReason.ERROR, message))

    def _deliver(self, output: StepOutput) -> None:
        with self._changed:
            reader = self._readers.get(output.request_id)
            if output.finish_reason is not None:
                self._readers.pop(output.request_id, None)
        if reader is not None:
            reader.put(output)

    def _fail_all(self, message: str) -> None:
        with self._changed:
            readers, self._readers = self._readers, {}
            self._orders.clear()  # their requests are among the readers that are told
        for request_id, reader in readers.items():
            reader.put(StepOutput(request_id, None, "", FinishReason.ERROR, message))
