"""Files that this site writes itself, model cards and manifests, handed over as the others are: whole or in part."""

import hashlib
from datetime import datetime
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date

from distribution import ranges


def respond(
    request: HttpRequest,
    content: bytes,
    content_type: str,
    *,
    etag: str = "",
    modified_at: datetime | None = None,
    of_branch: bool = False,
) -> HttpResponse:
    """The content, or the range of it that the request names. Raises the Refusal RANGE_NOT_SATISFIABLE.

    etag: the name of these very bytes; their SHA-256 where none is given.
    modified_at: when they were made, if that is known. of_branch: the address can show older ones again.
    """
    tag = ranges.etag(etag or hashlib.sha256(content).hexdigest())
    if _client_has_it(request, tag, modified_at, of_branch):
        response = HttpResponse(status=HTTPStatus.NOT_MODIFIED)
    else:
        response = _part(request, content, tag)
        response["Content-Type"] = content_type
        response["Accept-Ranges"] = "bytes"
        response["Content-Length"] = str(len(response.content))
    response["ETag"] = tag
    if modified_at:
        response["Last-Modified"] = http_date(modified_at.timestamp())
    return response


def _client_has_it(
    request: HttpRequest, tag: str, modified_at: datetime | None, of_branch: bool
) -> bool:
    if tags := request.headers.get("If-None-Match", ""):
        return ranges.not_modified(tags, tag)
    date = request.headers.get("If-Modified-Since", "")
    return modified_at is not None and ranges.not_modified_since(
        date, modified_at, may_go_back=of_branch
    )


def _part(request: HttpRequest, content: bytes, tag: str) -> HttpResponse:
    span = None
    if request.method == "GET":  # a range means something to GET alone
        asked, condition = request.headers.get("Range", ""), request.headers.get("If-Range", "")
        span = ranges.span(asked, condition, size=len(content), tag=tag)
    if span is None:
        return HttpResponse(content)
    part = content[span.start : span.start + span.length]
    return HttpResponse(
        part,
        status=HTTPStatus.PARTIAL_CONTENT,
        headers={"Content-Range": span.content_range},
    )
