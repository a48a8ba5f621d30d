"""One thread a process that watches over the runs being answered while these wait for tokens.

Every second it renews their leases and asks whether somebody cancelled, whether the grant still
stands, and whether anybody still reads an answer that is not kept. What it
finds ends the run between two steps of the engine.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections

from inference_sandbox import selectors, stream
from portal.refusals import Refusal

log = logging.getLogger(__name__)
TICK_SECONDS = 1.0


class Watch:
    """One run being answered. Set by the watching thread, read by the answering one."""

    def __init__(self, run_id: UUID, writer: stream.Writer) -> None:
        self.run_id = run_id
        self.writer = writer
        self.cancelled = False
        self.lost = False
        self.refusal: Refusal | None = None
        self.needs_reader = False  # the answer is not kept
        self.unread = False  # for longer than the grace
        self._unread_since: float | None = None
        self.interrupt: Callable[[], None] | None = None  # ends the wait for the next token

    @property
    def must_stop(self) -> bool:
        return self.cancelled or self.lost or self.unread or self.refusal is not None

    def tick(self) -> None:
        """Look once. Asks for the interruption again at each tick: the first may come too early."""
        self._renew()
        self._ask_grant()
        if self.needs_reader:
            self._ask_readers()
        if self.must_stop and self.interrupt:
            self.interrupt()

    def _renew(self) -> None:
        try:
            self.cancelled = self.writer.renew() or self.cancelled
        except stream.LeaseLost:
            self.lost = True
        except stream.StreamDown:
            log.warning("the lease of run %s could not be renewed", self.run_id)

    def _ask_grant(self) -> None:
        try:
            selectors.standing_grant(self.run_id)
        except Refusal as refusal:
            self.refusal = refusal
        except Exception:  # a database that is away for a moment ends nobody's run
            log.exception("the grant of run %s could not be asked", self.run_id)

    def _ask_readers(self) -> None:
        try:
            if stream.is_read(self.run_id):
                self._unread_since = None
                return
        except stream.StreamDown:  # its readers lost it too, and are on their way back
            self._unread_since = None
            return
        now = time.monotonic()
        self._unread_since = self._unread_since or now
        self.unread = self.unread or now - self._unread_since >= settings.SANDBOX_READER_GRACE


class Watcher:
    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, run_id: UUID, writer: stream.Writer) -> Iterator[Watch]:
        watch = Watch(run_id, writer)
        with self._changed:
            self._watches.add(watch)
            self._start()
        try:
            yield watch
        finally:
            with self._changed:
                self._watches.discard(watch)
                self._changed.notify()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Until nothing is left to watch; the next run starts a new thread."""
        while watches := self._next():
            for watch in watches:
                watch.tick()
            close_old_connections()

    def _next(self) -> list[Watch]:
        with self._changed:
            self._changed.wait_for(lambda: not self._watches, timeout=TICK_SECONDS)
            if not self._watches:
                self._thread = None
            return list(self._watches)


watching = Watcher().watching
