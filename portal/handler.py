"""How the web process answers requests, and in which threads."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from io import BytesIO
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.urls import set_script_prefix

from portal.body_limits import limited
from portal.straight import Scope, in_a_turn, straight_match, without_signals

KEPT = 8  # idle threads; as many as the database's pool has connections
# On the straight way. More would wait for Python's lock and for connections, and take a third more of the processor.
TURNS = 3


class SiteHandler(ASGIHandler):
    """Django's, with threads that stay for the next request, and a short way for views that are marked so.

    Django gives each request a thread of its own for all that is not asynchronous, and ends it afterwards: with the
    database wrapper that was made in it that is a sixth of what opening a link costs. Here the thread goes to the
    next request, as in a server of threads; what a request leaves in it is closed by Django's signals, as there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._idle: list[ThreadPoolExecutor] = []
        self._turns = asyncio.Semaphore(TURNS)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)  # which says that it knows no other
        elif straight_match(scope) is None:
            async with self._thread():
                await self.handle(scope, limited(scope, receive), send)
        else:
            await self._handle_straight(scope, receive, send)

    @asynccontextmanager
    async def _thread(self) -> AsyncIterator[None]:
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, "request")
        kept = False
        try:
            async with ThreadSensitiveContext(executor=thread):
                yield
            # It is free: what was to be done in it, the request waited for.
            if kept := len(self._idle) < KEPT:
                self._idle.append(thread)
        finally:
            if not kept:
                thread.shutdown(wait=False)

    async def _handle_straight(self, scope: Scope, receive: Any, send: Any) -> None:
        """As `handle`, without signals, each of which takes a turn to the thread; a client that goes away is missed
        where there is something to be spared, in a stream.
        """
        without_signals.set(True)
        set_script_prefix(get_script_prefix(scope))
        request, error = self.create_request(scope, BytesIO())
        async with AsyncExitStack() as stack:
            async with self._turns:
                await stack.enter_async_context(self._thread())
                response: Any = error if request is None else await self.run_get_response(request)
            if response.streaming:
                await receive()  # the empty body; what comes next is the client's going away
                try:
                    await self._stream(response, receive, send)
                finally:
                    await in_a_turn(response.close)  # which may write down how it ended
            else:
                await self.send_response(response, send)
                response.close()

    async def _stream(self, response: Any, receive: Any, send: Any) -> None:
        sending = asyncio.create_task(self.send_response(response, send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:  # also where the server is stopped in the middle
            for task in (leaving, sending):
                task.cancel()  # does nothing to the one that is done
                with suppress(asyncio.CancelledError, RequestAborted):
                    await task
