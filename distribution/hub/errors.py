"""Refusals in the words of the hub: a client understands them by `X-Error-Code`, and shows `X-Error-Message`.

Whatever is 403 or 401 without `GatedRepo` looks to a client like a broken line, and its user never reads our reason.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from portal import hub_words, problems
from portal.refusals import Code, Refusal

GATED = {"X-Error-Code": "GatedRepo"}
REVISION_NOT_FOUND = {"X-Error-Code": "RevisionNotFound"}
ENTRY_NOT_FOUND = {"X-Error-Code": "EntryNotFound"}
# Clients sleep through a Retry-After without a word. Past this many seconds their user is told instead.
PATIENCE = 120


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook."""
    return hub_words.handler(_in_hub_words(error), context)


def respond(request: HttpRequest, error: Exception) -> HttpResponse:
    """The same for a plain view. Raises what is no refusal but a fault."""
    response = hub_words.respond(request, _in_hub_words(error))
    if response is None:
        raise error
    if request.method == "HEAD":
        # @huggingface/hub reads JSON where it is promised, also from the body that is not there.
        response["Content-Type"] = "text/plain; charset=utf-8"
    return response


def entry_not_found(repo_id: str, path: str, commit: str) -> Refusal:
    """With the commit a client can keep in mind that the file is not there."""
    return Refusal(
        Code.NOT_FOUND,
        f"{repo_id} has no file {path[:120]!r} in revision {commit[:12]}.",
        "Ask for the names that its list of files gives.",
        headers={**ENTRY_NOT_FOUND, "X-Repo-Commit": commit},
    )


class _ToldAtOnce(Refusal):
    """Not waited for: the client ends, and its user reads the reason and when to come back."""

    @property
    def status(self) -> int:
        return 403


def _in_hub_words(error: Exception) -> Exception:
    if isinstance(error, exceptions.AuthenticationFailed):
        return error
    refusal = problems.as_refusal(error)
    if refusal is None:
        return error
    if _waits_too_long(refusal):
        refusal = _ToldAtOnce(
            refusal.code,
            refusal.detail,
            refusal.way_out,
            since=refusal.since,
            url=refusal.url,
            headers=refusal.headers,
        )
    if refusal.status in (401, 403):
        refusal.headers = {**GATED, **_warning(refusal), **refusal.headers}
    return refusal


def _warning(refusal: Refusal) -> dict[str, str]:
    """`hf` says of `GatedRepo` that approval is needed, whatever our message says; but it prints warnings,
    one for each topic (what stands before the semicolon).
    """
    text = hub_words.message(refusal)
    topic = text.partition(".")[0].replace(";", ",")
    return {"X-HF-Warning": f"{topic}; {text}"}


def _waits_too_long(refusal: Refusal) -> bool:
    seconds = refusal.headers.get("Retry-After", "")
    return refusal.status == 429 and seconds.isdigit() and int(seconds) > PATIENCE
