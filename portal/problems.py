"""How a refusal reaches its reader: problem+json for programs, a page for browsers, one line for curl."""

from collections.abc import Iterable
from math import ceil
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from rest_framework import exceptions
from rest_framework.response import Response

from portal.refusals import Code, Refusal

PROBLEM = "application/problem+json"


def request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "-")


def respond(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Render the refusal in the form that the asker reads."""
    accept = request.headers.get("Accept", "")
    wants_page = "text/html" in accept
    if request.path.startswith("/api/") or (not wants_page and _is_json(accept)):
        response: HttpResponse = JsonResponse(
            refusal.problem(request_id(request)), status=refusal.status, content_type=PROBLEM
        )
    elif wants_page:
        response = render(
            request,
            "refusal.html",
            {"refusal": refusal, "request_id": request_id(request)},
            status=refusal.status,
        )
    else:
        response = HttpResponse(
            refusal.line(request_id(request)),
            status=refusal.status,
            content_type="text/plain; charset=utf-8",
        )
    for name, value in refusal.headers.items():
        response[name] = value
    response["X-Error-Code"] = str(refusal.code)
    response["Cache-Control"] = "no-store"
    return response


def _is_json(accept: str) -> bool:
    """Whether a program says that it reads JSON. curl and wget say `*/*`: a person reads what they print."""
    return PROBLEM in accept or "application/json" in accept


def as_refusal(error: Exception) -> Refusal | None:
    """What DRF and Django raise, in our words."""
    match error:
        case Refusal():
            return error
        case Http404() | exceptions.NotFound():
            return Refusal(
                Code.NOT_FOUND, "Nothing is here, or nothing you may see.", "Check the address."
            )
        case exceptions.NotAuthenticated():
            return Refusal(
                Code.NOT_SIGNED_IN,
                "This needs a signed-in person or a token.",
                "Send `Authorization: Bearer wb_…`; make a token on your account page.",
                url="/account/tokens/",
            )
        case exceptions.AuthenticationFailed():
            return Refusal(
                Code.NOT_SIGNED_IN,
                str(error.detail),
                "Make a new token on your account page.",
                url="/account/tokens/",
            )
        case exceptions.ValidationError():
            return Refusal(
                Code.INVALID,
                "Some fields do not fit.",
                "Mend the named fields and send again.",
                fields=_fields(error.detail),
            )
        case exceptions.Throttled():
            return rate_limited(getattr(error, "wait", None) or 60)
        case RequestDataTooBig():
            return too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        case TooManyFieldsSent():
            most = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
            return Refusal(
                Code.TOO_LARGE,
                f"The body has more than {most:,} fields.",
                "Send less in one request.",
            )
        case TooManyFilesSent():
            most = settings.DATA_UPLOAD_MAX_NUMBER_FILES
            return Refusal(
                Code.TOO_LARGE,
                f"The body has more than {most:,} files.",
                "Send less in one request.",
            )
        case exceptions.MethodNotAllowed():
            return Refusal(
                Code.METHOD_NOT_ALLOWED,
                str(error.detail),
                "The API's document at /api/schema/ lists the methods of each address.",
                url="/api/schema/",
            )
        case exceptions.NotAcceptable():
            return Refusal(
                Code.NOT_ACCEPTABLE,
                "This address does not answer in the media type of your `Accept` header.",
                "Send `Accept: application/json`.",
            )
        case exceptions.UnsupportedMediaType():
            return Refusal(
                Code.UNSUPPORTED_MEDIA_TYPE,
                str(error.detail),
                "Send JSON with `Content-Type: application/json`; files as multipart/form-data, "
                "where the API's document at /api/schema/ says so.",
                url="/api/schema/",
            )
        case exceptions.ParseError():
            return Refusal(Code.INVALID, str(error.detail), "Send valid JSON.")
        case PermissionDenied() | exceptions.PermissionDenied():
            return Refusal(
                Code.NOT_ALLOWED, "Your role does not allow this.", "Ask a manager of this site."
            )
    return None


def rate_limited(seconds: float) -> Refusal:
    """Too many requests of a kind; `seconds`: until the next one is allowed."""
    wait = max(1, ceil(seconds))
    return Refusal(
        Code.RATE_LIMITED,
        "Too many requests of this kind in a short time.",
        f"Wait {wait} {'second' if wait == 1 else 'seconds'}, then send it again.",
        headers={"Retry-After": str(wait)},
    )


def too_large(most: int) -> Refusal:
    """A body of more than `most` bytes."""
    return Refusal(
        Code.TOO_LARGE,
        f"The request is larger than {filesizeformat(most)}.",
        "Send less in one request, or a smaller file.",
    )


def _fields(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Each field with its errors; one inside of another is named `messages.0.role`."""
    inner: Iterable[tuple[Any, Any]]
    if isinstance(detail, dict):
        inner = detail.items()
    elif isinstance(detail, list) and any(isinstance(one, dict | list) for one in detail):
        inner = enumerate(detail)
    else:
        lines = detail if isinstance(detail, list) else [detail]
        return {path or "non_field_errors": [str(line) for line in lines]} if lines else {}
    found: dict[str, list[str]] = {}
    for name, value in inner:
        found |= _fields(value, f"{path}.{name}" if path else str(name))
    return found


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: every error of the API is a problem."""
    request = context["request"]._request
    refusal = as_refusal(error)
    if refusal is None:
        return None
    headers = {**refusal.headers, "X-Error-Code": str(refusal.code)}
    if refusal.code == Code.NOT_SIGNED_IN:
        headers["WWW-Authenticate"] = f'Bearer realm="{settings.BASE_URL}"'
    return Response(
        refusal.problem(request_id(request)),
        status=refusal.status,
        content_type=PROBLEM,
        headers=headers,
    )
