"""Servers in a thread of the test, which stop as soon as they are told to."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import Any

import uvicorn

from portal.handler import SiteHandler
from portal.sendfile import Protocol
from tests.live import free_port

SOON = 0.01


class Server(uvicorn.Server):
    """uvicorn looks every tenth of a second whether it should stop, and waits as long for its last connections."""

    async def main_loop(self) -> None:
        tick = 0
        while not await self.on_tick(tick):
            tick = (tick + 1) % 100
            await asyncio.sleep(SOON)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(SOON)
        for server in self.servers:
            await server.wait_closed()


@contextmanager
def serving_site(around: Callable[[Any], Any] = lambda app: app) -> Iterator[str]:
    """The site behind a real uvicorn, on the test's database; its address. around: wraps the ASGI application."""
    port = free_port()
    config = uvicorn.Config(
        around(SiteHandler()), port=port, http=Protocol, lifespan="off", log_level="warning"
    )
    server = Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "uvicorn did not start"
        time.sleep(SOON)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=[SOON], daemon=True)
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join()
