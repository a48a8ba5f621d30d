"""How requests come by their threads in the web process."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.core.handlers.asgi import ASGIHandler

KEPT = 8  # idle threads; as many as the database's pool has connections


class SiteHandler(ASGIHandler):
    """Django's, with threads that stay for the next request.

    Django gives each request a thread of its own for all that is not asynchronous, and ends it afterwards: with the
    database wrapper that was made in it that is a sixth of what opening a link costs. Here the thread goes to the
    next request, as in a server of threads; what a request leaves in it is closed by Django's signals, as there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._idle: list[ThreadPoolExecutor] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)  # which says that it knows no other
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, "request")
        kept = False
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, send)
            # It is free: the last that Django does of a request, it does in this thread and waits for.
            if kept := len(self._idle) < KEPT:
                self._idle.append(thread)
        finally:
            if not kept:
                thread.shutdown(wait=False)
        return None
