"""Server-sent events: the framing, in one place, and a run's stream as frames."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from re import fullmatch

from django.http import HttpRequest, StreamingHttpResponse

from inference_sandbox import stream
from inference_sandbox.models import Run
from inference_sandbox.stream import Entry, Kind

PING = b": ping\n\n"  # a comment: keeps proxies from closing a quiet connection
ToFrames = Callable[[Entry], Awaitable[bytes]]


def sse_frame(event: str, data: str, id: str = "") -> bytes:
    """One event. `data` may hold line ends of any kind; the reader gets them as newlines."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = [f"event: {event}"] + ([f"id: {id}"] if id else [])
    return ("\n".join([*head, *(f"data: {line}" for line in lines)]) + "\n\n").encode()


def sse_response(frames: AsyncIterator[bytes]) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        frames,
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def last_event_id(request: HttpRequest) -> str:
    """Where the reader left off; the beginning if it says nothing, or nothing that makes sense."""
    given = request.headers.get("Last-Event-ID", "")
    return given if fullmatch(r"\d{1,20}(-\d{1,20})?", given) else stream.BEGINNING


async def follow(run: Run, after: str, to_frames: ToFrames) -> AsyncIterator[bytes]:
    """The run's entries behind the id `after`, as frames, to the end of the run.

    Where the stream is gone, or its end was never written, the row tells the rest.
    """
    missed = after == stream.BEGINNING
    async with aclosing(stream.read(run.pk, after, wait=not run.is_over)) as entries:
        async for entry in entries:
            if entry is None:
                yield PING
                if (await Run.objects.aget(pk=run.pk)).is_over:
                    break
                continue
            missed = False
            yield await to_frames(entry)
            if entry.kind is Kind.END:
                return
    run = await Run.objects.aget(pk=run.pk)
    if missed:
        yield await to_frames(Entry("", Kind.TOKEN, {"t": None, "x": run.output}))
    yield await to_frames(Entry("", Kind.END, {}))
