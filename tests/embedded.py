"""Real servers for the tests, started on demand and gone with the test process."""

import atexit
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from demo import redis_server


def start_redis() -> str:
    """Start this machine's Redis server on a unix socket; return its URL."""
    # A short path: a unix socket's name has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="wb-test-"))
    socket = folder / "redis.sock"
    process = subprocess.Popen(
        [
            redis_server.executable(),
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--save",
            "",
            "--dir",
            str(folder),
        ],
        stdout=subprocess.DEVNULL,
    )

    def stop() -> None:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    deadline = time.monotonic() + 10
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the embedded Redis server did not start")
        time.sleep(0.01)
    return f"unix://{socket}"
