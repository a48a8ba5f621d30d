"""A revoked grant stops the transfers that this process serves, within seconds.

One watcher for all transfers of an event loop asks their grants again, in a fixed number of queries however many
they are. It lives as long as there are transfers.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from django.db import connections

from distribution import services
from distribution.models import Download
from portal.refusals import Refusal

log = logging.getLogger(__name__)

SECONDS = 2.0  # between two questions
RENEW = 20.0  # seconds after which a transfer says again that it holds a place among those at once


@dataclass
class Watch:
    """download id → the task that sends it."""

    running: dict[int, tuple[Download, asyncio.Task]] = field(default_factory=dict)
    watcher: asyncio.Task | None = None

    def begin(self, download: Download) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.running[download.pk] = (download, task)
        if self.watcher is None:
            # In a context of its own: the thread that a request's context names ends with the request.
            context = contextvars.Context()
            self.watcher = context.run(asyncio.get_running_loop().create_task, self._ask())

    def end(self, download: Download) -> None:
        del self.running[download.pk]
        if not self.running and self.watcher is not None:
            self.watcher.cancel()
            self.watcher = None

    async def _ask(self) -> None:
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(SECONDS)
            renew = time.monotonic() - renewed >= RENEW
            renewed = time.monotonic() if renew else renewed
            downloads = [download for download, _ in self.running.values()]
            try:
                refused = await asyncio.to_thread(_asked, downloads, renew)
            except Exception:  # a database that is away for a moment ends no transfer of a day
                log.exception("the grants of %d transfers could not be asked", len(downloads))
                continue
            for pk, refusal in refused.items():
                self._stop(pk, refusal)

    def _stop(self, pk: int, refusal: Refusal) -> None:
        if found := self.running.get(pk):
            download, task = found
            download.code = str(refusal.code)
            log.info("transfer %s is stopped: %s", pk, refusal.code)
            task.cancel()


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


@contextmanager
def watched(download: Download) -> Iterator[None]:
    """While the current task sends this download. The task is cancelled once the grant opens it no more; the
    download's `code` then says why.
    """
    watch = _watches.setdefault(asyncio.get_running_loop(), Watch())
    watch.begin(download)
    try:
        yield
    finally:
        watch.end(download)


def _asked(downloads: list[Download], renew: bool) -> dict[int, Refusal]:
    try:
        if renew:
            services.hold_places(downloads)
        return services.refused_among(downloads)
    finally:
        connections.close_all()  # of this thread, which may not be used again
