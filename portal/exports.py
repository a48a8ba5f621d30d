"""A long answer as a file, JSONL or CSV: streamed in pages, so that its size does not matter."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from portal.refusals import Code, Refusal

R = TypeVar("R")
CONTENT_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def export(
    name: str,
    kind: str,
    *,
    head: Sequence[str],
    page: Callable[[Any], tuple[Sequence[R], Any]],
    line: Callable[[R], bytes],
    cells: Callable[[R], Iterable[Any]],
    start: Any = 0,
) -> StreamingHttpResponse:
    """The file `name`.`kind`. Raises the Refusal NOT_FOUND for another kind than those two.

    page: the rows after this one, from `start` on, and after which the next page begins (None: there is
    none). It goes by what a row keeps for good, such as its number, never by how many rows came before:
    others come and go meanwhile. line: a row as JSON; cells: as the values under `head`.
    """
    if kind not in CONTENT_TYPES:
        raise Refusal(
            Code.NOT_FOUND, f"There is no export as {kind}.", "Choose jsonl or csv.", url="/"
        )

    def written(rows: Sequence[R]) -> bytes:
        if kind == "csv":
            return _csv(cells(row) for row in rows)
        return b"".join(line(row) + b"\n" for row in rows)

    async def stream() -> AsyncIterator[bytes]:
        if kind == "csv":
            yield _csv([head])
        after = start
        while after is not None:
            rows, after = await sync_to_async(page)(after)
            yield written(rows)

    response = StreamingHttpResponse(stream(), content_type=CONTENT_TYPES[kind])
    response["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    response["Cache-Control"] = "no-store"
    return response


def _csv(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """What comes from outside, such as a name: a spreadsheet must not run it as a formula."""
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value
