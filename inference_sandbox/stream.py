"""Between worker and readers: a run's stream of tokens, its lease, and the workers' signs of life.

The only file that imports redis: its synchronous client in the worker, its asyncio client in the
web process. Every key begins with `wb:`; the broker's own lists are read, never written.

A run's stream is a Redis Stream, not a channel: each entry has an id, and a reader that comes back
says the last id it saw and misses nothing. Whoever writes a stream holds the run's lease, and Redis
itself checks the lease at each write: a worker that was taken for dead cannot write any more.
"""

import asyncio
import json
import secrets
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

from portal.refusals import Code, Refusal

PING_SECONDS = 15.0  # a reader hears something at least this often
LEASE_MS = 10_000
WORKER_SECONDS = 20
CONTEXT_SECONDS = 30 * 24 * 3600  # how long the limit of a worker that is gone still counts
READER_SECONDS = 6  # so long a reader's sign holds; it is given three times as often
BEGINNING = "0"

# KEYS: lease, stream, cancel. ARGV: holder, lease ms, stream seconds, most entries, kind, data.
# -1 where the lease is lost, else 1 if somebody asked to cancel, else 0. One round trip a token.
_APPEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'kind', ARGV[5], 'data', ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return redis.call('EXISTS', KEYS[3])
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('EXISTS', KEYS[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""


class Kind(StrEnum):
    START = "start"  # {}: the answer begins; text shown before it counts no more
    PROMPT = "prompt"  # {s: records as in RunTokens}: once, before the first token, if asked for
    # {t: token id or None, x: text that can be shown now, f: finish reason of the last,
    #  r: the token's record as in RunTokens if asked for, p: true where it was forced}
    TOKEN = "token"  # noqa: S105
    STATS = "stats"  # {output_tokens, tokens_per_second}
    END = "end"  # {status, finish_reason, error}


class Entry(NamedTuple):
    id: str
    kind: Kind
    data: dict[str, Any]


@dataclass(frozen=True)
class Worker:
    """What a worker says of itself. `revision` is empty while it holds no weights yet.

    slots: requests that fit into its running batch; running: those in it now; waiting: those that it
    has taken from the queue, and that wait for a slot. context: tokens of one run that its engine
    takes, prompt and answer together; 0 while it holds no weights.
    """

    node: str
    revision: str
    device: str
    dtype: str
    slots: int
    running: int = 0
    waiting: int = 0
    context: int = 0

    @property
    def free(self) -> int:
        return max(0, self.slots - self.running)


class StreamDown(Refusal):
    """Redis does not answer: a refusal with a way out, at whatever door it happens."""

    def __init__(self) -> None:
        super().__init__(
            Code.UNAVAILABLE,
            "The part of this site that carries the sandbox's queue does not answer.",
            "Try again in a minute; nothing you wrote here was lost.",
        )


class LeaseLost(Exception):
    """Another worker took this run over: stop, and write nothing more."""


@cache
def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)


def _key(kind: str, name: UUID | str) -> str:
    return f"wb:{kind}:{name}"


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, TimeoutError) as error:
        raise StreamDown from error


# ---- Writing -------------------------------------------------------------------------------------


class Writer:
    """The one writer of a run's stream, for as long as it renews its lease."""

    def __init__(self, run_id: UUID, holder: str) -> None:
        self.run_id = run_id
        self.holder = holder
        self._lease, self._stream = _key("lease", run_id), _key("run", run_id)
        self._cancel = _key("cancel", run_id)

    @classmethod
    def take(cls, run_id: UUID) -> "Writer | None":
        """The lease of the run; None while another worker holds it."""
        holder = secrets.token_hex(8)
        with _answering():
            taken = _client().set(_key("lease", run_id), holder, nx=True, px=LEASE_MS)
        return cls(run_id, holder) if taken else None

    def append(self, kind: Kind, **data: Any) -> bool:
        """Add an entry and renew the lease. True if somebody asked to cancel. Raises LeaseLost."""
        keep = 4 * settings.SANDBOX_MAX_TOKENS + 100  # more than any run writes: nothing is cut off
        return self._call(
            _APPEND,
            [self._lease, self._stream, self._cancel],
            LEASE_MS, settings.SANDBOX_STREAM_SECONDS, keep, kind.value, _dump(data),
        )  # fmt: skip

    def renew(self) -> bool:
        """Keep the lease. True if somebody asked to cancel. Raises LeaseLost."""
        return self._call(_RENEW, [self._lease, self._cancel], LEASE_MS)

    def count_attempt(self) -> int:
        """How many workers, this one included, have begun this run."""
        key = _key("attempts", self.run_id)
        with _answering():
            attempts = _client().incr(key)
            _client().expire(key, settings.SANDBOX_STREAM_SECONDS)
        return attempts

    def release(self) -> None:
        self._call(_RELEASE, [self._lease])

    def _call(self, script: str, keys: list[str], *args: str | int) -> bool:
        with _answering():
            answer = _client().eval(script, len(keys), *keys, self.holder, *args)
        if answer == -1:
            raise LeaseLost(str(self.run_id))
        return answer == 1


def append_end(run_id: UUID, **data: Any) -> None:
    """Tell the readers of a run that no worker holds that it is over."""
    with _answering(), _client().pipeline() as pipe:
        pipe.xadd(_key("run", run_id), {"kind": Kind.END.value, "data": _dump(data)})
        pipe.expire(_key("run", run_id), settings.SANDBOX_STREAM_SECONDS)
        pipe.execute()


def ask_cancel(run_id: UUID) -> None:
    """The worker that holds the run, or takes it up later, ends it at its next step."""
    with _answering():
        _client().set(_key("cancel", run_id), "1", ex=settings.SANDBOX_STREAM_SECONDS)


def is_read(run_id: UUID) -> bool:
    """Whether somebody reads the run's stream, of those who say so (`read`)."""
    with _answering():
        return bool(_client().exists(_key("reader", run_id)))


def forget(run_ids: Iterable[UUID]) -> None:
    """Drop the streams of these runs before their time."""
    keys = [_key("run", run_id) for run_id in run_ids]
    with _answering():
        for start in range(0, len(keys), 500):
            _client().delete(*keys[start : start + 500])


# ---- Reading -------------------------------------------------------------------------------------


def written_so_far(run_id: UUID) -> list[Entry]:
    """What a run's stream holds of its beginning, its prompt and its answer, oldest first."""
    with _answering():
        entries = _client().xrange(_key("run", run_id)) or []
    kinds = (Kind.START, Kind.PROMPT, Kind.TOKEN)
    return [entry for entry in map(_entry, entries) if entry.kind in kinds]


def tokens_so_far(run_id: UUID) -> list[Entry]:
    """The tokens that a run's stream holds, oldest first."""
    return [entry for entry in written_so_far(run_id) if entry.kind is Kind.TOKEN]


def _aclient() -> "redis.asyncio.Redis":
    """Who uses it says how long it may take, with `asyncio.timeout`: with a time limit of its own it sends by way of
    `wait_for`, which in Python 3.11 forgets a cancel that comes together with what it waits for.
    """
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, decode_responses=True, socket_timeout=None
    )


async def evaluate(script: str, keys: Sequence[str], *args: str | float) -> Any:
    """What a Lua script returns, which Redis runs in one step. Raises StreamDown."""
    with _answering():
        async with asyncio.timeout(5), _aclient() as client:
            answer: Any = client.eval(script, len(keys), *keys, *args)
            return await answer


async def check() -> None:
    """Raise StreamDown unless Redis answers."""
    with _answering():
        async with asyncio.timeout(5), _aclient() as client:
            await client.ping()


async def read(
    run_id: UUID, after: str, *, wait: bool, sign: bool = False
) -> AsyncGenerator[Entry | None]:
    """The entries that follow the id `after`, up to and with the end.

    With `wait`, later entries are awaited, and None is given whenever PING_SECONDS brought none.
    Without, the iteration stops where the stream does. `sign`: say meanwhile that somebody reads,
    for a run that is not kept goes on no longer than that.
    """
    async with aclosing(read_many({run_id: after}, wait=wait, sign=sign)) as entries:
        async for found in entries:
            yield found and found[1]


async def read_many(
    after: Mapping[UUID, str], *, wait: bool, sign: bool = False
) -> AsyncGenerator[tuple[UUID, Entry] | None]:
    """The same for several runs, over one connection: each entry with its run, to the last end."""
    runs = {_key("run", run_id): run_id for run_id in after}
    places: dict[Any, Any] = {_key("run", run_id): place for run_id, place in after.items()}
    turn = READER_SECONDS / 3 if sign else PING_SECONDS
    block = int(min(PING_SECONDS, turn) * 1000) if wait else None
    signed, heard = 0.0, time.monotonic()
    async with _aclient() as client:
        while places:
            with _answering():
                async with asyncio.timeout(PING_SECONDS + 10):
                    if sign and time.monotonic() - signed >= turn:
                        await _sign(client, [runs[key] for key in places])
                        signed = time.monotonic()
                    answer: Any = await client.xread(dict(places), count=256, block=block)
            if not answer and not wait:
                return
            if answer:
                heard = time.monotonic()
            elif time.monotonic() - heard > PING_SECONDS - min(1.0, PING_SECONDS / 2):
                heard = time.monotonic()
                yield None
            for key, batch in answer or []:
                for entry in map(_entry, batch):
                    places[key] = entry.id
                    yield runs[key], entry
                    if entry.kind is Kind.END:
                        del places[key]
                        break


async def _sign(client: "redis.asyncio.Redis", run_ids: Iterable[UUID]) -> None:
    """Say that somebody reads these runs."""
    async with client.pipeline(transaction=False) as pipe:
        for run_id in run_ids:
            pipe.set(_key("reader", run_id), "1", ex=READER_SECONDS)
        await pipe.execute()


def _entry(raw: Any) -> Entry:
    entry_id, fields = raw
    return Entry(entry_id, Kind(fields["kind"]), json.loads(fields["data"]))


def at(entry_id: str) -> float:
    """When an entry was written, in seconds since 1970: its id begins with Redis's own clock."""
    return int(entry_id.partition("-")[0]) / 1000


def _dump(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False)  # which no reader could parse


# ---- Workers and queues --------------------------------------------------------------------------


def announce(slug: str, worker: Worker) -> None:
    """A worker of this release is up; holds for WORKER_SECONDS."""
    with _answering(), _client().pipeline() as pipe:
        pipe.sadd(_key("workers", slug), worker.node)
        pipe.set(_key(f"worker:{slug}", worker.node), _dump(asdict(worker)), ex=WORKER_SECONDS)
        if worker.context:
            pipe.set(_key(f"context:{slug}", worker.revision), worker.context, ex=CONTEXT_SECONDS)
        pipe.execute()


def withdraw(slug: str, node: str) -> None:
    """A worker of this release goes down in good order."""
    with _answering(), _client().pipeline() as pipe:
        pipe.srem(_key("workers", slug), node)
        pipe.delete(_key(f"worker:{slug}", node))
        pipe.execute()


def workers(slug: str) -> list[Worker]:
    """The workers that are up for a release."""
    with _answering():
        nodes = sorted(str(node) for node in _client().smembers(_key("workers", slug)))
        signs = _client().mget([_key(f"worker:{slug}", node) for node in nodes]) if nodes else []
        if silent := [node for node, sign in zip(nodes, signs, strict=True) if sign is None]:
            _client().srem(_key("workers", slug), *silent)
    return [Worker(**json.loads(sign)) for sign in signs if sign is not None]


def context_of(slug: str, digest: str) -> int | None:
    """The tokens of one run that every worker takes which has this revision loaded; where none has, the
    last worker that had. None: no worker has said so yet.
    """
    limits = [worker.context for worker in workers(slug) if worker.revision == digest]
    if found := [limit for limit in limits if limit]:
        return min(found)
    with _answering():
        last = _client().get(_key(f"context:{slug}", digest))
    return int(last) if last else None


def leased(run_ids: Iterable[UUID]) -> set[UUID]:
    """Which of the runs a worker holds now."""
    ids = list(run_ids)
    with _answering():
        holders = _client().mget([_key("lease", run_id) for run_id in ids]) if ids else []
    return {run_id for run_id, holder in zip(ids, holders, strict=True) if holder is not None}


def queue_length(queue: str) -> int:
    """How many tasks wait in the broker for a worker."""
    with _answering():
        return int(_client().llen(queue))


def waiting(queue: str) -> set[str]:
    """The first arguments (run ids) of the tasks that wait in one of the broker's queues."""
    with _answering():
        messages = _client().lrange(queue, 0, -1)
    return {str(args[0]) for args in map(_arguments, messages) if args}


def _arguments(message: str | bytes) -> list[Any]:
    """The positional arguments in a Celery message: its body is base64 of [args, kwargs, embed]."""
    return list(json.loads(b64decode(json.loads(message)["body"]))[0])
