"""The worker's side of the queue: one engine in the process, and a sign of life every few seconds.

The engine is imported inside functions: the web process imports this module through the tasks, and
must never import torch.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import close_old_connections

from distribution import selectors as distribution
from distribution import services as publishing
from distribution.models import Revision
from inference_sandbox import stream, tokens
from portal.catalog.models import Release

if TYPE_CHECKING:
    from inference_sandbox.engine.runner import EngineRunner
    from inference_sandbox.engine.tokenizer import Tokenizer
    from inference_sandbox.foreign import ForeignRunner

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 5.0
PRUNE_SECONDS = 3600.0
PATIENCE = 30.0  # seconds that a run waits while newer ones of the loaded revision begin


@dataclass(frozen=True)
class LoadedEngine:
    runner: "EngineRunner | ForeignRunner"
    tokenizer: "Tokenizer"
    description: str  # its version, dtype and device
    context: int  # tokens of one run that it takes, prompt and answer together
    held: ExitStack = field(default_factory=ExitStack)  # what it keeps from being pruned

    def stop(self) -> None:
        self.runner.stop()
        self.held.close()


def load(revision: Revision) -> LoadedEngine:
    """Fetch the revision's files from the store, check them, and start an engine on them.

    Where another server computes, its tokenizer is all that is needed here.
    """
    if settings.SANDBOX_ENGINE_URL:
        from inference_sandbox import foreign

        return LoadedEngine(*foreign.runner_of(revision))
    # Where compiled kernels are kept; beside the source, as they would be, an image has no room.
    for name in ("NUMBA_CACHE_DIR", "TRITON_CACHE_DIR"):
        os.environ.setdefault(name, str(settings.SANDBOX_CACHE / "kernels"))
    from inference_sandbox.engine.engine import Engine
    from inference_sandbox.engine.runner import EngineRunner

    with ExitStack() as held:
        held.enter_context(publishing.in_use(revision, weights_cache()))
        prune_cache()  # before the next weights need the room
        engine = Engine.load(
            publishing.materialise(revision, weights_cache()),
            dtype=settings.SANDBOX_DTYPE,
            device=settings.SANDBOX_DEVICE,
            max_batch=settings.SANDBOX_BATCH,
            max_len=tokens.configured_context(revision),
        )
        description = f"torch {version('torch')}, {engine.info.dtype}, {engine.info.device}"
        log.info("engine of %s ready: %s", revision, description)
        context = engine.info.context_limit
        runner = EngineRunner(engine)
        return LoadedEngine(runner, engine.tokenizer, description, context, held.pop_all())


def weights_cache() -> Path:
    return settings.SANDBOX_CACHE / "weights"


def prune_cache() -> None:
    """Remove the weights that no worker has used for long. Never raises: it is no run's matter."""
    try:
        publishing.prune(weights_cache(), days=settings.SANDBOX_CACHE_DAYS)
    except OSError:
        log.exception("the cache of weights could not be pruned")


def _keep_pruning() -> None:
    while True:
        time.sleep(PRUNE_SECONDS)
        prune_cache()


@dataclass(eq=False)
class Waiting:
    """A run that waits for the engine of its revision."""

    digest: str
    since: float  # monotonic seconds


class Engines:
    """Holds one engine at a time: a device has room for one model.

    A run of another revision waits until the runs of the loaded one are over. New runs of the loaded
    one are let in before it for PATIENCE seconds; from then on they wait behind it.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._users = 0
        self._waiting: list[Waiting] = []  # in the order they came
        self._loaded: LoadedEngine | None = None
        self.digest = ""

    @contextmanager
    def use(self, revision: Revision) -> Iterator[LoadedEngine]:
        engine = self._take(revision)
        try:
            yield engine
        finally:
            with self._free:
                self._users -= 1
                self._free.notify_all()

    def load(self) -> tuple[int, int, int]:
        """Requests running, requests waiting, and slots in all, without waiting for the lock."""
        loaded = self._loaded
        return loaded.runner.load() if loaded else (0, 0, settings.SANDBOX_BATCH)

    @property
    def context(self) -> int:
        """Tokens of one run that the loaded engine takes; 0 while none is loaded."""
        loaded = self._loaded
        return loaded.context if loaded else 0

    def _take(self, revision: Revision) -> LoadedEngine:
        # The lock is held while loading: whoever comes meanwhile needs this engine, or must wait.
        with self._free:
            waiting = Waiting(revision.digest, time.monotonic())
            self._waiting.append(waiting)
            try:
                self._free.wait_for(lambda: self._may_enter(waiting))
                if self._loaded is None or self.digest != revision.digest:
                    self._drop()
                    self._loaded = load(revision)
                    self.digest = revision.digest
                self._users += 1
                return self._loaded
            finally:
                self._waiting.remove(waiting)
                self._free.notify_all()

    def _may_enter(self, waiting: "Waiting") -> bool:
        before = self._waiting[: self._waiting.index(waiting)]
        if self._loaded is None or waiting.digest != self.digest:
            return not before and not self._users
        overdue = time.monotonic() - PATIENCE
        return not any(one.digest != self.digest and one.since <= overdue for one in before)

    def _drop(self) -> None:
        """Free the memory before the next weights ask for it."""
        if self._loaded:
            self._loaded.stop()
        self._loaded, self.digest = None, ""


engines = Engines()


class Heartbeat:
    """Tells the pages that this worker is up, for the releases whose queues it consumes."""

    def __init__(self, node: str, slugs: list[str]) -> None:
        self.node, self.slugs = node, slugs
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        try:
            for slug in self.slugs:
                stream.withdraw(slug, self.node)
        except stream.StreamDown:
            log.warning("could not say good-bye; the sign of life ends by itself")

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.beat()
            except stream.StreamDown:
                log.warning("no sign of life given: redis does not answer")
            self._stopped.wait(HEARTBEAT_SECONDS)

    def beat(self) -> None:
        running, waiting, slots = engines.load()
        sign = stream.Worker(
            node=self.node,
            revision=engines.digest,
            device="another server" if settings.SANDBOX_ENGINE_URL else settings.SANDBOX_DEVICE,
            dtype="" if settings.SANDBOX_ENGINE_URL else settings.SANDBOX_DTYPE,
            slots=slots,
            running=running,
            waiting=waiting,
            context=engines.context,
        )
        for slug in self.slugs:
            stream.announce(slug, sign)


def preload(slug: str) -> None:
    """Load the release's current weights now, so that the first prompt does not wait for them."""
    try:
        release = Release.objects.filter(slug=slug).first()
        revision = distribution.current_revision(release) if release else None
        if (
            revision is not None and not revision.sandbox_note
        ):  # which is said where it is published
            with engines.use(revision):
                pass
    except Exception:  # the first run will meet the same error, and tell its person
        log.exception("the weights of %s could not be loaded beforehand", slug)
    finally:
        close_old_connections()
    if _heartbeat:
        _heartbeat.beat()  # the pages need not wait for the next one


_heartbeat: Heartbeat | None = None


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    """A worker that consumes queues `model.<slug>` announces itself and loads the one release."""
    global _heartbeat
    queues = sender.app.amqp.queues.consume_from
    slugs = [name.removeprefix("model.") for name in queues if name.startswith("model.")]
    if not slugs:
        return
    _heartbeat = Heartbeat(sender.hostname, slugs)
    _heartbeat.start()
    threading.Thread(target=_keep_pruning, name="prune", daemon=True).start()
    if len(slugs) == 1:
        threading.Thread(target=preload, args=slugs, name="preload", daemon=True).start()


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    if _heartbeat:
        _heartbeat.stop()
