"""The straight way: programs reach a few views past the middleware and the signals that these do not need.

To open a link takes less than to pass the middleware: half of it is not asynchronous, and each turn to a thread and
back costs as much as a query. Browsers go the whole way, for their refusals are pages.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import close_old_connections
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import ResolverMatch, resolve
from django.utils.decorators import sync_and_async_middleware

from portal import problems
from portal.refusals import Refusal

Scope = dict[str, Any]
T = TypeVar("T")
V = TypeVar("V", bound=Callable[..., Any])
_FOUND = "weighbridge.straight"
without_signals: ContextVar[bool] = ContextVar("without_signals", default=False)


def straight(view: V) -> V:
    """Mark an asynchronous view that reads no body, and asks nothing of the session or of who is signed in.

    It asks the database through `in_a_turn`.
    """
    view.is_straight = True  # type: ignore[attr-defined]
    return view


async def in_a_turn(act: Callable[..., T], *args: Any) -> T:
    """What `act` returns in the request's thread, with no database connection left open there where no signal says
    that the request is over.
    """
    return await sync_to_async(_closing if without_signals.get() else _calling)(act, *args)


def _calling(act: Callable[..., T], *args: Any) -> T:
    return act(*args)


def _closing(act: Callable[..., T], *args: Any) -> T:
    try:
        return act(*args)
    finally:
        close_old_connections()


def straight_match(scope: Scope) -> ResolverMatch | None:
    """The marked view that the request asks for, if it is a program's; asked again it is what it was."""
    if _FOUND not in scope:
        scope[_FOUND] = _match(scope)
    found: ResolverMatch | None = scope[_FOUND]
    return found


def _match(scope: Scope) -> ResolverMatch | None:
    if scope["method"] not in ("GET", "HEAD"):
        return None
    if any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
        return None
    try:
        match = resolve(scope["path"].removeprefix(scope.get("root_path", "")))
    except Http404:
        return None
    return match if getattr(match.func, "is_straight", False) else None


@sync_and_async_middleware
def straight_through(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answers what has a straight way; all else goes on through the middleware below."""
    if not iscoroutinefunction(get_response):
        return get_response
    security, frames = SecurityMiddleware(get_response), XFrameOptionsMiddleware(get_response)

    async def asynchronous(request: HttpRequest) -> HttpResponse:
        match = straight_match(request.scope)  # type: ignore[attr-defined]
        if match is None:
            long_way: HttpResponse = await get_response(request)
            return long_way
        request.get_host()  # raises for a host that is not ours, as CommonMiddleware does
        if (secure := security.process_request(request)) is not None:
            return secure
        request.resolver_match = match
        try:
            response: HttpResponse = await match.func(request, *match.args, **match.kwargs)
        except Refusal as refusal:
            response = problems.respond(request, refusal)
        if not response.streaming:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'")
        return frames.process_response(request, security.process_response(request, response))

    return asynchronous
