"""uvicorn's HTTP protocol with one extension: a file goes from the kernel's cache to the socket, not through Python.

    uvicorn portal.asgi:application --http portal.sendfile:Protocol

The scope then has `extensions["weighbridge.sendfile"]`, an asynchronous function that a response's body calls after
the headers went out (ASGI's own `pathsend` knows no ranges and cannot be stopped). It is not offered over TLS.
Without it the same bytes go out in chunks.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "weighbridge.sendfile"
BURST = 8 * 1024 * 1024  # bytes that one visit to a thread sends at most, if the socket takes them

# file descriptor, offset, count, and what is called with the number of bytes just sent
SendFile = Callable[[int, int, int, Callable[[int], None]], Awaitable[None]]


class Protocol(HttpToolsProtocol):
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.transport.get_extra_info("sslcontext") is None:
            scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
            scope.setdefault("extensions", {})[EXTENSION] = partial(_send, cycle)
        super()._start_asgi_task(cycle, app)


async def _send(
    cycle: RequestResponseCycle,
    file: int,
    offset: int,
    count: int,
    advance: Callable[[int], None],
) -> None:
    """Send `count` bytes, or fewer if the client goes away. A slow client costs no thread while it is waited for."""
    while cycle.transport.get_write_buffer_size():  # the headers
        await asyncio.sleep(0.001)
    if cycle.transport.is_closing():  # the client has gone already
        return
    # The loop allows nobody else to wait for a descriptor of its own transports; this one is ours.
    socket = os.dup(cycle.transport.get_extra_info("socket").fileno())
    try:
        while count and not cycle.disconnected:
            # In a thread: bytes that are not in the cache yet are read from the disk.
            sent = await _finished(asyncio.to_thread(_burst, socket, file, offset, count), advance)
            if sent is None:
                return
            offset, count = offset + sent, count - sent
            cycle.expected_content_length -= sent
            if count:
                await _writable(socket)
    finally:
        os.close(socket)


async def _finished(burst: Awaitable[int | None], advance: Callable[[int], None]) -> int | None:
    """The result of the burst, which is waited for even when we are cancelled: its descriptors must stay open."""
    task = asyncio.ensure_future(burst)
    try:
        sent = await asyncio.shield(task)
    except asyncio.CancelledError:
        advance(await task or 0)
        raise
    advance(sent or 0)
    return sent


def _burst(socket: int, file: int, offset: int, count: int) -> int | None:
    """Send until the socket takes no more; how many bytes that were, None once the client has gone."""
    sent, most = 0, min(count, BURST)
    try:
        while sent < most:
            moved = os.sendfile(socket, file, offset + sent, most - sent)
            if moved == 0:  # the file is shorter than it was: the client sees a cut transfer
                return sent or None
            sent += moved
    except BlockingIOError:
        pass
    except OSError:
        return sent or None
    return sent


async def _writable(socket: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(socket, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(socket)
