"""The log as a file: JSONL or CSV."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from portal import exports
from portal.audit.canonical import COLUMNS, canonical, event_content
from portal.audit.models import Event

PAGE = 2000  # events of one query
HEAD = ("id", "at", "verb", "actor", "subject_type", "subject_id", "data", "seal")
Row = tuple[Any, ...]


def export(events: "QuerySet[Event]", kind: str) -> StreamingHttpResponse:
    """`events` oldest first, as `kind`; each with the number of its seal."""
    rows = events.order_by("id").values_list(*COLUMNS, "sealed__seal_id")

    def page(after: int) -> tuple[list[Row], int | None]:
        found = list(rows.filter(id__gt=after)[:PAGE])
        return found, found[-1][0] if len(found) == PAGE else None

    name = f"events-{timezone.now():%Y%m%d-%H%M}"
    return exports.export(name, kind, head=HEAD, page=page, line=_line, cells=_cells)


def _line(row: Row) -> bytes:
    """One canonical object: what a seal says of the event, and the number of the seal."""
    return canonical({**event_content(row[:-1]), "seal": row[-1]})


def _cells(row: Row) -> Iterable[Any]:
    content = event_content(row[:-1])
    content["data"] = canonical(content["data"]).decode()
    return [*content.values(), row[-1]]
