"""How large the body of a request may be: counted as it comes in, so that no body without a length fills the disk.

nginx has limits of its own (deploy/nginx.conf.template); these hold without it too.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve
from django.utils.decorators import sync_and_async_middleware

from portal import problems
from portal.refusals import Refusal

MIB = 2**20
# Where files are uploaded. A form may bring several attachments of 5 MiB each.
UPLOADS = (
    (re.compile(r"/applications/(\d+/edit|new/[^/]+)/"), 64 * MIB),
    (re.compile(r"/api/v1/applications/\d+/attachments/"), 6 * MIB),
    (re.compile(r"/admin/access_requests/evidencelist/load/"), 101 * MIB),
    (re.compile(r"/admin/distribution/networklist/load/"), 101 * MIB),
)
# So much of a body that is refused is still read: a client that has sent all of it reads the answer.
DRAINED = 16 * MIB
_TOO_LARGE = "weighbridge.too_large"
Receive = Callable[[], Awaitable[dict[str, Any]]]
Responder = Callable[[HttpRequest, Refusal], HttpResponse]


def limit_of(path: str) -> int:
    """The most bytes that a body may have at this path."""
    found = next((most for pattern, most in UPLOADS if pattern.match(path)), None)
    return found or settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def limited(scope: dict[str, Any], receive: Receive) -> Receive:
    """`receive` of ASGI that hands over no more of a body than its path allows.

    A larger body ends there, and `scope` says so to the middleware below. The rest is thrown away.
    """
    limit, read = limit_of(scope["path"]), 0
    headers = dict(scope["headers"])
    waits_for_go_ahead = b"expect" in headers

    async def drain() -> None:
        nonlocal read
        while read <= limit + DRAINED:
            message = await receive()
            read += len(message.get("body", b""))
            if not message.get("more_body"):
                return

    async def receive_limited() -> dict[str, Any]:
        nonlocal read
        if _TOO_LARGE in scope:  # nothing is read while the refusal is on its way
            await asyncio.Event().wait()
        if _declared(headers) > limit:
            scope[_TOO_LARGE] = True
            if not waits_for_go_ahead:
                await drain()
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await receive()
        read += len(message.get("body", b""))
        if read <= limit or message["type"] != "http.request":
            return message
        scope[_TOO_LARGE] = True
        if message.get("more_body"):
            await drain()
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive_limited


def _declared(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() else 0


@sync_and_async_middleware
def body_limits(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Refuse what is too large, in the form that the view's clients read (`refusal_responder`)."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            if _is_too_large(request):
                return await sync_to_async(_refused)(request)
            response: HttpResponse = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        if _is_too_large(request):
            return _refused(request)
        response: HttpResponse = get_response(request)
        return response

    return synchronous


def _is_too_large(request: HttpRequest) -> bool:
    if _TOO_LARGE in getattr(request, "scope", {}):
        return True
    declared = request.META.get("CONTENT_LENGTH") or "0"
    return declared.isdigit() and int(declared) > limit_of(request.path_info)


def _refused(request: HttpRequest) -> HttpResponse:
    response = _responder(request)(request, problems.too_large(limit_of(request.path_info)))
    if hasattr(request, "scope"):
        response["Connection"] = "close"  # the rest of the body is not read
    return response


def _responder(request: HttpRequest) -> Responder:
    try:
        view = resolve(request.path_info).func
    except Http404:
        return problems.respond
    view_class = getattr(view, "cls", None)
    found: Responder | None = getattr(view_class or view, "refusal_responder", None)
    return found or problems.respond
