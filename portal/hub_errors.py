"""How a refusal reaches a client of the hub protocol: it reads the code and the text from headers."""

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response

from portal import problems

# Word for word: with it the client says that the token is bad, and not that the repo is missing.
BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105
REPO_NOT_FOUND = {"X-Error-Code": "RepoNotFound"}  # for the `headers` of a Refusal


def one_line(text: str) -> str:
    """The text as a header takes it: one line of ASCII."""
    plain = text.translate({0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'", 0x2026: "..."})
    return " ".join(plain.encode("ascii", "replace").decode().split())


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook for views that speak the hub protocol."""
    request = context["request"]._request
    refusal = problems.as_refusal(error)
    if refusal is None:
        if not isinstance(error, exceptions.APIException):
            return None
        text = str(error.detail)
        return Response(
            {"error": text}, error.status_code, headers={"X-Error-Message": one_line(text)}
        )
    # The client shows the header and then the body's text, once if they are the same.
    text = one_line(f"{refusal.detail} {refusal.way_out}")
    if isinstance(error, exceptions.AuthenticationFailed):
        headers = {"X-Error-Message": BAD_TOKEN}
    else:
        headers = {"X-Error-Code": str(refusal.code), "X-Error-Message": text}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"error": text, **refusal.problem(problems.request_id(request))}
    return Response(body, refusal.status, headers={**headers, **refusal.headers})
