"""Downloads as a file: JSONL or CSV."""

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from distribution import reports
from distribution.models import Download
from portal import exports

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


def export(rows: "QuerySet[Download]", kind: str, name: str) -> StreamingHttpResponse:
    """`rows` oldest first, as `kind`. Raises the Refusal NOT_FOUND for another kind."""
    countries: dict[str, str] = {}

    def page(after: int) -> tuple[list[Row], int | None]:
        found = rows.order_by("id").filter(id__gt=after).values_list(*COLUMNS.values())[:PAGE]
        made = [dict(zip(COLUMNS, map(_plain, row), strict=True)) for row in found]
        for row in made:
            if (network := row["network"]) not in countries:
                countries[network] = reports.country_of(network)
            row["country"] = countries[network]
        return made, made[-1]["id"] if len(made) == PAGE else None

    name = f"downloads-{name}-{timezone.now():%Y%m%d-%H%M}"
    return exports.export(name, kind, head=HEAD, page=page, line=_line, cells=_cells)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _line(row: Row) -> bytes:
    return json.dumps({name: row[name] for name in HEAD}).encode()


def _cells(row: Row) -> Iterable[Any]:
    return [row[name] for name in HEAD]
