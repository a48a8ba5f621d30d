"""A running demo says in its lock file how it runs, so that `script/manage` on the same home means the same site."""

import fcntl
import json
import os
from pathlib import Path

LOCK = "lock"
TOLD = ("WEIGHBRIDGE_DEMO", "WEIGHBRIDGE_BASE_URL", "WEIGHBRIDGE_DTYPE", "REDIS_URL")


def tell(home: Path, env: dict[str, str]) -> None:
    """Written by the demo, which holds the lock."""
    (home / LOCK).write_text(json.dumps({name: env[name] for name in TOLD if name in env}))


def join() -> None:
    """Take what a demo tells that runs now; one that is over tells nothing, whatever it left."""
    home = Path(
        os.environ.get("WEIGHBRIDGE_HOME") or Path(__file__).resolve().parent.parent / "var"
    )
    try:
        with (home / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError:  # somebody holds it
        told = json.loads((home / LOCK).read_text() or "{}")
        for name, value in told.items():
            os.environ.setdefault(name, value)
