"""The log as a file: JSONL or CSV, streamed in pages, so that its size does not matter."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from portal.audit.canonical import COLUMNS, canonical, event_content
from portal.audit.models import Event
from portal.refusals import Code, Refusal

PAGE = 2000  # events of one query
Row = tuple[Any, ...]


def _jsonl(rows: Iterable[Row]) -> bytes:
    """One canonical object a line: what a seal says of the event, and the number of the seal."""
    return b"".join(canonical({**event_content(row[:-1]), "seal": row[-1]}) + b"\n" for row in rows)


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        content = event_content(row[:-1])
        content["data"] = canonical(content["data"]).decode()
        writer.writerow([*content.values(), row[-1]])
    return text.getvalue().encode()


CSV_HEAD = b"id,at,verb,actor,subject_type,subject_id,data,seal\r\n"
KINDS: dict[str, tuple[str, bytes, Callable[[Iterable[Row]], bytes]]] = {
    "jsonl": ("application/x-ndjson", b"", _jsonl),
    "csv": ("text/csv; charset=utf-8", CSV_HEAD, _csv),
}


def export(events: "QuerySet[Event]", kind: str) -> StreamingHttpResponse:
    """`events` oldest first, as `kind`; each with the number of its seal."""
    if kind not in KINDS:
        raise Refusal(
            Code.NOT_FOUND, f"There is no export as {kind}.", "Choose jsonl or csv.", url="/"
        )
    content_type, head, write = KINDS[kind]
    response = StreamingHttpResponse(_stream(events, head, write), content_type=content_type)
    name = f"events-{timezone.now():%Y%m%d-%H%M}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


async def _stream(
    events: "QuerySet[Event]", head: bytes, write: Callable[[Iterable[Row]], bytes]
) -> AsyncIterator[bytes]:
    rows = events.order_by("id").values_list(*COLUMNS, "sealed__seal_id")

    def page(after: int) -> list[Row]:
        # By id, not by offset, and with no cursor held open: events may come meanwhile.
        return list(rows.filter(id__gt=after)[:PAGE])

    yield head
    after = 0
    while found := await sync_to_async(page)(after):
        yield write(found)
        after = found[-1][0]
