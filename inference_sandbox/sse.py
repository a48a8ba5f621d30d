"""Server-sent events: the framing, in one place, and a run's stream as frames."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from re import fullmatch

from django.http import HttpRequest, StreamingHttpResponse

from inference_sandbox import stream
from inference_sandbox.models import Run
from inference_sandbox.stream import Entry, Kind
from portal.database import alet_go

log = logging.getLogger(__name__)
PING = b": ping\n\n"  # a comment: keeps proxies from closing a quiet connection
ToFrames = Callable[[Entry], Awaitable[bytes]]


def sse_frame(event: str, data: str, id: str = "") -> bytes:
    """One event. `data` may hold line ends of any kind; the reader gets them as newlines."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = [f"event: {event}"] + ([f"id: {id}"] if id else [])
    return ("\n".join([*head, *(f"data: {line}" for line in lines)]) + "\n\n").encode()


async def sse_response(
    run: Run, request: HttpRequest, to_frames: ToFrames
) -> StreamingHttpResponse:
    """The run's stream as an answer. Raises StreamDown, while there is still a status to say so in."""
    if not run.is_over:
        await stream.check()
    frames = follow(run, last_event_id(request), to_frames)
    return StreamingHttpResponse(
        frames,
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def last_event_id(request: HttpRequest) -> str:
    """Where the reader left off; the beginning if it says nothing, or nothing that makes sense."""
    given = request.headers.get("Last-Event-ID", "")
    # 19 digits: Redis counts in 64 bits, and refuses what is more.
    return given if fullmatch(r"[0-9]{1,19}(-[0-9]{1,19})?", given) else stream.BEGINNING


async def follow(run: Run, after: str, to_frames: ToFrames) -> AsyncIterator[bytes]:
    """The run's entries behind the id `after`, as frames, to the end of the run.

    Where the stream is gone, or its end was never written, the row tells the rest.
    """
    missed = after == stream.BEGINNING
    await alet_go()
    try:
        async with aclosing(
            stream.read(run.pk, after, wait=not run.is_over, sign=not run.keep)
        ) as entries:
            async for entry in entries:
                if entry is None:
                    yield PING
                    if (await Run.objects.aget(pk=run.pk)).is_over:
                        break
                    await alet_go()
                    continue
                missed = False
                yield await to_frames(entry)
                if entry.kind is Kind.END:
                    return
    except stream.StreamDown:
        log.warning("the stream of run %s broke off: redis does not answer", run.pk)
    run = await Run.objects.aget(pk=run.pk)
    if not run.is_over:
        return  # its stream is out of reach: the reader comes back, and resumes where it was
    if missed:
        yield await to_frames(Entry("", Kind.TOKEN, {"t": None, "x": run.output}))
    yield await to_frames(Entry("", Kind.END, {}))
