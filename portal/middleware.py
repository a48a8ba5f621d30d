"""Middleware of our own. All of it is async-capable, so that a stream never waits in a thread."""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware

from portal import problems
from portal.logs import request_of
from portal.refusals import Refusal

Handler = Callable[[HttpRequest], Any]
V = TypeVar("V", bound=Callable[..., Any])
SIGN_OUT = ("account_logout", "admin:logout")
_SAFE_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


def _both(
    get_response: Handler,
    before: Callable[[HttpRequest], None],
    after: Callable[[HttpRequest, HttpResponse], None],
) -> Handler:
    """One middleware from what to do before and after, sync or async as the next one is."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            before(request)
            response: HttpResponse = await get_response(request)
            after(request, response)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        before(request)
        response: HttpResponse = get_response(request)
        after(request, response)
        return response

    return synchronous


@sync_and_async_middleware
def request_id(get_response: Handler) -> Handler:
    """Give each request an id that every answer, refusal and log line carries."""

    def before(request: HttpRequest) -> None:
        # The second is what clients of the hub send with every call, and tell their user.
        given = request.headers.get("X-Request-Id") or request.headers.get("X-Amzn-Trace-Id", "")
        made = given if _SAFE_ID.fullmatch(given) else secrets.token_hex(8)
        request.request_id = made  # type: ignore[attr-defined]
        request_of.set(made)

    def after(request: HttpRequest, response: HttpResponse) -> None:
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]

    return _both(get_response, before, after)


@sync_and_async_middleware
def admin_csp(get_response: Handler) -> Handler:
    """The admin's look (unfold) evaluates Alpine expressions and sets styles inline; only there is that allowed."""

    def after(request: HttpRequest, response: HttpResponse) -> None:
        if request.path.startswith("/admin/"):
            response._csp_update = {  # type: ignore[attr-defined]
                "script-src": ["'unsafe-eval'", "'unsafe-inline'"],
                "style-src": ["'unsafe-inline'"],
            }

    return _both(get_response, lambda request: None, after)


@sync_and_async_middleware
def emptied_browser(get_response: Handler) -> Handler:
    """Signing out takes with it what the pages stored in the browser: the text of unsaved drafts."""

    def after(request: HttpRequest, response: HttpResponse) -> None:
        match = request.resolver_match
        if request.method == "POST" and match and match.view_name in SIGN_OUT:
            response["Clear-Site-Data"] = '"storage"'

    return _both(get_response, lambda request: None, after)


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise knows synchronous requests alone, and would turn the whole chain above it into one that waits in
    threads. Which files there are is a table in memory; only what is served is read, in a thread.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Handler) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._asynchronous(request)
        return super().__call__(request)

    async def _asynchronous(self, request: HttpRequest) -> Any:
        if self.autorefresh or request.path_info in self.files:
            found = await sync_to_async(self._found)(request)
            if found is not None:
                return found
        return await self.get_response(request)

    def _found(self, request: HttpRequest) -> Any:
        path = request.path_info
        file = self.find_file(path) if self.autorefresh else self.files.get(path)
        return None if file is None else self.serve(file, request)


class RefusalMiddleware:
    """Turn a refusal raised by a view into an answer that its reader understands."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return problems.respond(request, error) if isinstance(error, Refusal) else None
