"""Conditional and partial requests on one file that never changes (RFC 9110, sections 13 and
14).
"""

import re
from dataclasses import dataclass
from datetime import datetime

from django.utils.http import parse_http_date_safe

from distribution.sizes import exact
from portal.refusals import Code, Refusal

# Only what a proxy and every store read as we do: with anything else they might send the whole file.
_HEADER = re.compile(r"bytes=(.+)")
_SPEC = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `start + length - 1` of a file of `size` bytes."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def etag(sha256: str) -> str:
    return f'"{sha256}"'


def not_modified(if_none_match: str, tag: str) -> bool:
    """Whether the asker has these bytes already. The comparison is the weak one, as the RFC
    wants here.
    """
    given = [value.strip().removeprefix("W/") for value in if_none_match.split(",")]
    return given == ["*"] or tag in given


def not_modified_since(header: str, at: datetime, *, may_go_back: bool = False) -> bool:
    """Whether `If-Modified-Since` says that the client has the bytes of the file of that time. Not for a request with
    `If-None-Match`, which counts alone.

    may_go_back: the address can show an older file again, so that only the very same time proves anything.
    """
    since, modified = parse_http_date_safe(header), int(at.timestamp())
    return since is not None and (modified == since if may_go_back else modified <= since)


def span(range_header: str, if_range: str, *, size: int, tag: str) -> Span | None:
    """The one range that is asked for; None means the whole file, also the answer to nonsense.

    Raises the Refusal RANGE_NOT_SATISFIABLE for a range outside the file and for more than one.
    """
    # A date never matches: two revisions can be of the same second. A weak tag never does, as the RFC says.
    if if_range and if_range.strip() != tag:
        return None
    header = _HEADER.fullmatch(range_header)
    if header is None:
        return None
    parts = header[1].split(",")
    specs = [_SPEC.fullmatch(part.strip() if len(parts) > 1 else part) for part in parts]
    if any(spec is None or not _sane(spec[1], spec[2]) for spec in specs):
        return None
    if len(specs) > 1:
        raise _refused(
            f"{len(specs)} ranges were asked for at once.", "Ask for one range at a time.", size
        )
    assert specs[0] is not None
    return _within(specs[0][1], specs[0][2], size)


def _sane(first: str, last: str) -> bool:
    return bool(first or last) and not (first and last and int(last) < int(first))


def _within(first: str, last: str, size: int) -> Span:
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        raise _refused(
            f"The file has {exact(size)}; the range {first}-{last} holds none of them.",
            "If your copy has that size already it is complete; otherwise delete it and start "
            "again.",
            size,
        )
    return Span(start, end - start + 1, size)


def _refused(detail: str, way_out: str, size: int) -> Refusal:
    return Refusal(
        Code.RANGE_NOT_SATISFIABLE, detail, way_out, headers={"Content-Range": f"bytes */{size}"}
    )
