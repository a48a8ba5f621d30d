"""How many streams a token, an account and one run's readers may have open at once.

Each open stream holds a connection to Redis and a place in the web process. A reader's slot is a lease in Redis, so
that those of a process that was killed come free by themselves.
"""

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from inference_sandbox import stream
from portal.refusals import Code, Refusal

LEASE_SECONDS = 3 * stream.PING_SECONDS  # a reader hears something, and renews, each PING_SECONDS
SOON = 5  # seconds after which a slot may be free

# KEYS: a sorted set for each limit, slot → end of its lease. ARGV: now, end, slot, lease, then the limits.
# The number of the first set that is full, or 0 when the slot is in all of them.
_TAKE = """
for i, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', ARGV[1])
  if redis.call('ZCARD', key) >= tonumber(ARGV[4 + i]) then return i end
end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, ARGV[2], ARGV[3])
  redis.call('EXPIRE', key, ARGV[4])
end
return 0
"""
_RENEW = """
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, 'XX', ARGV[1], ARGV[2])
  redis.call('EXPIRE', key, ARGV[3])
end
"""
_RELEASE = "for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end"


@dataclass
class Slot:
    """One reader's place, until it is released or not renewed."""

    name: str
    keys: list[str]
    _renewed_at: float = field(default_factory=time.monotonic)

    async def renew(self) -> None:
        """Once in PING_SECONDS, however often it is called."""
        if time.monotonic() - self._renewed_at < stream.PING_SECONDS / 2:
            return
        self._renewed_at = time.monotonic()
        with suppress(stream.StreamDown):  # the stream itself says so
            end = time.time() + LEASE_SECONDS
            await stream.evaluate(_RENEW, self.keys, end, self.name, int(LEASE_SECONDS))

    async def release(self) -> None:
        with suppress(stream.StreamDown):
            await stream.evaluate(_RELEASE, self.keys, self.name)


async def take(run_id: UUID, account_id: int, token_id: int | None) -> Slot:
    """A slot for one more reader. Raises the Refusal RATE_LIMITED when one of the limits is reached, and StreamDown."""
    limits = _limits(run_id, account_id, token_id)
    slot = Slot(secrets.token_hex(8), list(limits))
    now = time.time()
    full = await stream.evaluate(
        _TAKE, slot.keys, now, now + LEASE_SECONDS, slot.name, int(LEASE_SECONDS), *limits.values()
    )
    if full:
        most = list(limits.values())[full - 1]
        raise Refusal(
            Code.RATE_LIMITED,
            f"{most} streams are open already, which is as many as there may be at once.",
            "Close the pages or programs that you no longer need, then follow this one again.",
            url="/sandbox/runs/",
            headers={"Retry-After": str(SOON)},
        )
    return slot


def _limits(run_id: UUID, account_id: int, token_id: int | None) -> Mapping[str, int]:
    most = settings.SANDBOX_STREAM_READERS
    # Of a run that is shared, nobody takes the places of its other readers.
    limits = {f"wb:readers:run:{run_id}:{account_id}": max(1, most // 2)}
    if token_id:
        limits[f"wb:readers:token:{token_id}"] = most
    return {**limits, f"wb:readers:account:{account_id}": 2 * most}
