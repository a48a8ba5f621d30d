"""Server-sent events: the framing, in one place, and a run's stream as frames."""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from re import fullmatch

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse

from inference_sandbox import readers, selectors, stream
from inference_sandbox.models import Run
from inference_sandbox.readers import Slot
from inference_sandbox.stream import Entry, Kind
from portal.accounts.models import Account
from portal.database import alet_go
from portal.refusals import Code, Refusal

log = logging.getLogger(__name__)
PING = b": ping\n\n"  # a comment: keeps proxies from closing a quiet connection
ASK_SECONDS = 1.0


@dataclass
class Reader:
    """Who follows a run, and in which shape it is told."""

    account: Account
    to_frames: Callable[[Entry], Awaitable[bytes]]
    refusal_to_frames: Callable[[Refusal], bytes]
    token_id: int | None = None  # of the API token that came with the request
    _asked_at: float = field(default_factory=time.monotonic)

    async def refusal(self, run: Run, *, now: bool = False) -> Refusal | None:
        """Why another's run is theirs to read no longer; asked once a second, or `now`.

        A revocation of the run's own grant ends the run itself.
        """
        is_asked = now or time.monotonic() - self._asked_at >= ASK_SECONDS
        if run.account_id == self.account.pk or not is_asked:
            return None
        self._asked_at = time.monotonic()
        try:
            await sync_to_async(selectors.run_visible_to)(self.account, run.pk)
        except Refusal:
            return Refusal(
                Code.NOT_FOUND,
                "This run is not shared with you any more.",
                "Its person has made it private, or your grant is over: your applications say which.",
                url="/applications/",
            )
        finally:
            await alet_go()
        return None


def sse_frame(event: str, data: str, id: str = "") -> bytes:
    """One event. `data` may hold line ends of any kind; the reader gets them as newlines."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = [f"event: {event}"] + ([f"id: {id}"] if id else [])
    return ("\n".join([*head, *(f"data: {line}" for line in lines)]) + "\n\n").encode()


async def sse_response(run: Run, request: HttpRequest, reader: Reader) -> StreamingHttpResponse:
    """The run's stream as an answer. Raises StreamDown and the Refusal RATE_LIMITED (too many streams are open), while
    there is still a status to say so in.
    """
    slot = None if run.is_over else await readers.take(run.pk, reader.account.pk, reader.token_id)
    frames = follow(run, last_event_id(request), reader, slot)
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


async def follow(
    run: Run, after: str, reader: Reader, slot: Slot | None = None
) -> AsyncIterator[bytes]:
    """The run's stream (see `_follow`), for as long as the reader's slot is renewed."""
    try:
        async with aclosing(_follow(run, after, reader)) as frames:
            async for frame in frames:
                if slot:
                    await slot.renew()
                yield frame
    finally:
        if slot:
            await slot.release()


async def _follow(run: Run, after: str, reader: Reader) -> AsyncGenerator[bytes]:
    """The run's entries behind the id `after`, as frames, to the end of the run.

    Where the stream is gone, or its end was never written, the row tells the rest. A reader of
    another's run who may not any more is told so within a second of the next entry.
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
                if refusal := await reader.refusal(run, now=entry.kind is Kind.END):
                    yield reader.refusal_to_frames(refusal)
                    return
                yield await reader.to_frames(entry)
                if entry.kind is Kind.END:
                    return
    except stream.StreamDown:
        log.warning("the stream of run %s broke off: redis does not answer", run.pk)
    run = await Run.objects.aget(pk=run.pk)
    if not run.is_over:
        return  # its stream is out of reach: the reader comes back, and resumes where it was
    if refusal := await reader.refusal(run, now=True):
        yield reader.refusal_to_frames(refusal)
        return
    if missed:
        yield await reader.to_frames(Entry("", Kind.TOKEN, {"t": None, "x": run.output}))
    yield await reader.to_frames(Entry("", Kind.END, {}))
