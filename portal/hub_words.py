"""What a client of the hub protocol understands. A refusal's code and text it reads from headers."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from portal import problems
from portal.refusals import Refusal

# Word for word: with it the client says that the token is bad, and not that the repo is missing.
BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105
REPO_NOT_FOUND = {"X-Error-Code": "RepoNotFound"}  # for the `headers` of a Refusal
Answer = tuple[dict[str, Any], int, dict[str, str]]  # body, status, headers


def one_line(text: str) -> str:
    """The text as a header takes it: one line of ASCII."""
    plain = text.translate({0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'", 0x2026: "..."})
    return " ".join(plain.encode("ascii", "replace").decode().split())


def moment(at: datetime) -> str:
    """The clients know no offset but Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook for views that speak the hub protocol."""
    made = answer(error, problems.request_id(context["request"]._request))
    return Response(made[0], made[1], headers=made[2]) if made else None


def respond(request: HttpRequest, error: Exception) -> JsonResponse | None:
    """The same for a plain view. None for what is no refusal but a fault."""
    made = answer(error, problems.request_id(request))
    if made is None:
        return None
    response = JsonResponse(made[0], status=made[1], headers=made[2])
    response["Cache-Control"] = "no-store"
    return response


def answer(error: Exception, request_id: str) -> Answer | None:
    """What the client is told of an error. None for what is no refusal but a fault."""
    refusal = problems.as_refusal(error)
    if refusal is None:
        if not isinstance(error, exceptions.APIException):
            return None
        text = one_line(str(error.detail))
        return {"error": text}, error.status_code, {"X-Error-Message": text}
    text = message(refusal)
    if isinstance(error, exceptions.AuthenticationFailed):
        headers = {"X-Error-Message": BAD_TOKEN}
    else:
        headers = {"X-Error-Code": str(refusal.code), "X-Error-Message": text}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"error": text, **refusal.problem(request_id)}
    return body, refusal.status, {**headers, **refusal.headers}


def message(refusal: Refusal) -> str:
    """All that a person at a terminal needs. The client shows the header and then the body's text,
    once if they are the same.
    """
    place = f" {settings.BASE_URL}{refusal.url}" if refusal.url else ""
    return one_line(refusal.text + place)
