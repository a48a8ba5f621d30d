"""The files page, the script made for one grant, and the door that links lead to."""

from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404, render
from django.utils.http import http_date
from django.views.decorators.http import require_safe

from access_requests.models import Tier
from access_requests.selectors import grant_for, require_metadata
from distribution import pasted, ranges, selectors, services, signing
from distribution.script import keys
from distribution.services import Ask, Opened
from distribution.stores import get_store
from distribution.streaming import FileStream
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.problems import request_id
from portal.refusals import Refusal
from portal.straight import in_a_turn, straight

R = TypeVar("R", bound=HttpResponseBase)

WEIGHTS = (".pth", ".safetensors")
# How long an address of the store can be opened, again and again; the transfer itself may take days.
STORE_SECONDS = 120
STORE_SECONDS_OF_LIMITED = 15  # of a link with a number of uses


@login_required
@require_safe
def files(request: HttpRequest, slug: str) -> HttpResponse:
    """What there is, and a link for each if the person's grant allows it; otherwise why not, and
    the next step.
    """
    release = get_object_or_404(Release.objects.select_related("family__licence"), slug=slug)
    assert isinstance(request.user, Account)
    context: dict[str, Any] = {"release": release, "link_hours": release.link_hours}
    try:
        require_metadata(request.user, release)
        artifacts = list(selectors.files(release))
        context |= {"artifacts": artifacts, "size": sum(artifact.size for artifact in artifacts)}
        context["revision"] = selectors.current_revision(release)
        context["links"] = services.issue_links(release, actor=request.user)
        context["script_until"] = keys.until(grant_for(request.user, release, tier=Tier.WEIGHTS))
    except Refusal as refusal:
        context["refusal"] = refusal
    context["groups"] = _weights_first(context.get("links") or context.get("artifacts") or [])
    response = render(request, "distribution/files.html", context)
    response["Cache-Control"] = "private, no-store"  # the links are this person's
    return response


def _weights_first(listed: list[Any]) -> list[tuple[str, list[Any]]]:
    """The same files under two headings: what is large, then what goes with it."""
    weights = [file for file in listed if file.path.endswith(WEIGHTS)]
    others = [file for file in listed if not file.path.endswith(WEIGHTS)]
    return [group for group in (("Weights", weights), ("Other files", others)) if group[1]]


@require_safe
def manifest_key(request: HttpRequest) -> HttpResponse:
    """The public key of the signatures on manifests, as a file for minisign. For everybody."""
    return HttpResponse(signing.public_key_file(), content_type="text/plain; charset=utf-8")


@straight
@require_safe
async def download(
    request: HttpRequest, token: str, filename: str, *, of_branch: bool = False
) -> HttpResponseBase:
    """The file behind a signed link, or a part of it. No session is asked: the link speaks for a
    grant.
    """
    opened, address = await in_a_turn(_open, token, filename, ask_of(request, of_branch=of_branch))
    response = HttpResponseRedirect(address) if address else _hand_over(request, opened)
    response["ETag"] = ranges.etag(opened.artifact.sha256)
    response["Last-Modified"] = http_date(opened.artifact.revision.created_at.timestamp())
    response["Cache-Control"] = "private, no-store"
    return response


@straight
@require_safe
async def pasted_download(request: HttpRequest, rest: str) -> HttpResponseBase:
    """A link that was damaged on the way to the address line; it opens, or says what is wrong."""
    token, filename = pasted.split(rest)
    return await download(request, token, filename)


def ask_of(request: HttpRequest, *, of_branch: bool = False) -> Ask:
    """What the request on a link says that matters."""
    return Ask(
        method=request.method or "GET",
        range=request.headers.get("Range", ""),
        if_range=request.headers.get("If-Range", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
        if_modified_since=request.headers.get("If-Modified-Since", ""),
        of_branch=of_branch,
        ip=request.META.get("REMOTE_ADDR") or "",
        user_agent=request.headers.get("User-Agent", ""),
        request_id=request_id(request),
    )


def _open(token: str, filename: str, ask: Ask) -> tuple[Opened, str]:
    """The opened link, and where in the store its bytes are to be had ("": they are handed over here).

    In one turn to a thread, which costs as much as a query.
    """
    opened, store = services.open_link(token, filename, ask), get_store()
    key = opened.artifact.store_key
    if opened.has_it or ask.method == "HEAD" or store.local_path(key) is not None:
        return opened, ""
    name = Path(opened.artifact.path).name
    asked = ask.range if opened.span else ""
    seconds = STORE_SECONDS if opened.resumes else STORE_SECONDS_OF_LIMITED
    url = store.presigned_url(key, filename=name, seconds=seconds, asked=asked)
    assert url is not None, "a store has the file here, or an address for it"
    return opened, url


def _hand_over(request: HttpRequest, opened: Opened) -> HttpResponseBase:
    if opened.has_it:
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED)
    if request.method == "HEAD":
        return _described(HttpResponse(), opened)
    if settings.SENDFILE_LOCATION:
        response = _described(HttpResponse(), opened)
        del response[
            "Content-Length"
        ]  # the proxy reads the file, does the range, and knows the length
        response["X-Accel-Redirect"] = (
            f"{settings.SENDFILE_LOCATION.rstrip('/')}/{opened.artifact.store_key}"
        )
        return response
    path = get_store().local_path(opened.artifact.store_key)
    assert path is not None
    return _streamed(request, path, opened)


def _streamed(request: HttpRequest, path: Path, opened: Opened) -> FileStream:
    response = _described(FileStream(request, path, opened), opened)
    if opened.span:
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response["Content-Range"] = opened.span.content_range
    return response


def _described(response: R, opened: Opened) -> R:
    """The headers that a whole file, a part of it and HEAD have in common."""
    response["Content-Type"] = "application/octet-stream"
    response["Content-Length"] = str(opened.length)
    response["Content-Disposition"] = f'attachment; filename="{Path(opened.artifact.path).name}"'
    response["Accept-Ranges"] = "bytes" if opened.resumes else "none"
    return response
