"""A Redis of the test's own, on a port of its own, that may be killed and started again."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import override_settings

from demo import redis_server
from inference_sandbox import stream
from portal.celery import app


class OwnRedis:
    """It keeps nothing: started again it is empty, as a Redis without persistence is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--save", "", "--dir", str(self.folder)]
        command = [redis_server.executable(), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "it did not start"
                time.sleep(0.02)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextmanager
def own_redis(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnRedis]:
    """For streams and for the broker, in this process and in workers that it starts."""
    server = OwnRedis(folder)
    server.start()
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.conf, "broker_url", server.url)
    stream._client.cache_clear()
    try:
        with override_settings(REDIS_URL=server.url):
            yield server
    finally:
        server.kill()
        stream._client.cache_clear()
        app.amqp._producer_pool = None
