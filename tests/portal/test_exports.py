"""A long answer as a file: made page by page, and no further than somebody reads it."""

from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse

from portal import exports


def numbers(read: list[int]) -> StreamingHttpResponse:
    """An export without an end; `read` gets where each page began."""

    def page(after: int) -> tuple[Sequence[int], int | None]:
        read.append(after)
        return range(after, after + 10), after + 10

    return exports.export(
        "numbers", "jsonl", head=["n"], page=page, line=lambda n: b"%d" % n, cells=lambda n: [n]
    )


def test_no_page_is_read_once_the_client_has_left() -> None:
    read: list[int] = []

    async def leave_after_two() -> None:
        frames: Any = aiter(numbers(read))
        assert (await anext(frames)).startswith(b"0\n1\n")
        await anext(frames)
        await frames.aclose()

    async_to_sync(leave_after_two)()
    assert read == [0, 10]
