"""Downloads as a file: JSONL or CSV, streamed in pages, so that its size does not matter."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from distribution import reports
from distribution.models import Download
from portal.refusals import Code, Refusal

PAGE = 1000  # rows of one query
COLUMNS = {
    "id": "id",
    "started_at": "started_at",
    "finished_at": "finished_at",
    "grant": "grant_id",
    "account": "grant__account_id",
    "email": "grant__account__email",
    "release": "grant__release__repo_id",
    "revision": "artifact__revision__digest",
    "path": "artifact__path",
    "size": "artifact__size",
    "method": "method",
    "outcome": "outcome",
    "code": "code",
    "first_byte": "first_byte",
    "bytes_asked": "bytes_asked",
    "bytes_sent": "bytes_sent",
    "bytes_counted": "bytes_counted",
    "network": "network",
    "user_agent": "user_agent",
    "request_id": "request_id",
}
HEAD = [*COLUMNS, "country"]
Row = dict[str, Any]


def _jsonl(rows: Iterable[Row]) -> bytes:
    lines = (json.dumps({name: _plain(row[name]) for name in HEAD}) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([_cell(_plain(row[name])) for name in HEAD])
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> Any:
    """A program's name comes from outside: a spreadsheet must not take it for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


KINDS: dict[str, tuple[str, bytes, Callable[[Iterable[Row]], bytes]]] = {
    "jsonl": ("application/x-ndjson", b"", _jsonl),
    "csv": ("text/csv; charset=utf-8", ",".join(HEAD).encode() + b"\r\n", _csv),
}


def export(rows: "QuerySet[Download]", kind: str, name: str) -> StreamingHttpResponse:
    """`rows` oldest first, as `kind`. Raises the Refusal NOT_FOUND for another kind."""
    if kind not in KINDS:
        raise Refusal(
            Code.NOT_FOUND, f"There is no export as {kind}.", "Choose jsonl or csv.", url="/"
        )
    content_type, head, write = KINDS[kind]
    response = StreamingHttpResponse(_stream(rows, head, write), content_type=content_type)
    file_name = f"downloads-{name}-{timezone.now():%Y%m%d-%H%M}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response["Cache-Control"] = "no-store"
    return response


async def _stream(
    rows: "QuerySet[Download]", head: bytes, write: Callable[[Iterable[Row]], bytes]
) -> AsyncIterator[bytes]:
    countries: dict[str, str] = {}

    def page(after: int) -> list[Row]:
        # By id, not by offset, and with no cursor held open: rows may come meanwhile.
        found = rows.order_by("id").filter(id__gt=after).values_list(*COLUMNS.values())[:PAGE]
        made = [dict(zip(COLUMNS, row, strict=True)) for row in found]
        for row in made:
            if (network := row["network"]) not in countries:
                countries[network] = reports.country_of(network)
            row["country"] = countries[network]
        return made

    yield head
    after = 0
    while found := await sync_to_async(page)(after):
        yield write(found)
        after = found[-1]["id"]
