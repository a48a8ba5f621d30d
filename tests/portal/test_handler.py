"""Threads of requests stay for the next one, and no request waits for what another left behind."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from portal.handler import KEPT, SiteHandler
from portal.straight import straight

begun, go_on = threading.Event(), threading.Event()
ended: list[str] = []


def who(_: HttpRequest) -> HttpResponse:
    return HttpResponse(str(threading.get_ident()))


def slow(request: HttpRequest) -> HttpResponse:
    begun.set()
    go_on.wait(20)
    return who(request)


def breaks(_: HttpRequest) -> HttpResponse:
    raise OSError("broken")


class Endless(StreamingHttpResponse):
    def close(self) -> None:
        ended.append("the response")
        super().close()


async def stream() -> AsyncIterator[bytes]:
    try:
        while True:
            yield b"more"
            begun.set()
            await asyncio.sleep(0.01)
    finally:
        ended.append("the bytes")


@straight
async def streams(_: HttpRequest) -> StreamingHttpResponse:
    return Endless(stream())


urlpatterns = [
    path("who", who),
    path("slow", slow),
    path("breaks", breaks),
    path("stream", streams),
]
handler500 = "tests.portal.test_handler.sorry"


def sorry(_: HttpRequest) -> HttpResponse:
    return HttpResponse("sorry", status=500)


async def ask(handler: SiteHandler, name: str, gone: asyncio.Event | None = None) -> str:
    """The body of the answer. gone: when the client goes away."""
    messages: list[Any] = []
    asked = iter([{"type": "http.request", "body": b""}])

    async def receive() -> Any:
        for message in asked:
            return message
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/{name}",
        "headers": [],
        "query_string": b"",
    }
    await handler(scope, receive, send)
    return b"".join(message.get("body", b"") for message in messages).decode()


def run(story: Callable[[SiteHandler], Coroutine[Any, Any, None]]) -> None:
    begun.clear(), go_on.clear(), ended.clear()
    middleware = ["portal.straight.straight_through"]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, ALLOWED_HOSTS=["*"]):
        asyncio.run(story(SiteHandler()))


@pytest.fixture(autouse=True)
def _end() -> Any:
    yield
    go_on.set()


def test_a_thread_stays_for_the_next_request_also_after_an_error() -> None:
    async def story(handler: SiteHandler) -> None:
        first = await ask(handler, "who")
        assert await ask(handler, "breaks") == "sorry"
        assert await ask(handler, "who") == first

    run(story)


def test_requests_at_the_same_time_have_threads_of_their_own() -> None:
    async def story(handler: SiteHandler) -> None:
        waiting = [asyncio.create_task(ask(handler, "slow")) for _ in range(KEPT + 3)]
        await asyncio.to_thread(begun.wait, 20)
        quick = await asyncio.wait_for(ask(handler, "who"), 20)
        go_on.set()
        others = await asyncio.gather(*waiting)
        assert len({quick, *others}) == KEPT + 4
        assert len(handler._idle) == KEPT, "and only so many are kept"

    run(story)


def test_nobody_waits_for_the_view_of_a_client_that_went_away() -> None:
    async def story(handler: SiteHandler) -> None:
        gone = asyncio.Event()
        left = asyncio.create_task(ask(handler, "slow", gone))
        await asyncio.to_thread(begun.wait, 20)
        gone.set()
        await asyncio.wait_for(ask(handler, "who"), 20)
        assert not left.done(), "its view is still at work"
        go_on.set()
        await asyncio.wait_for(left, 20)
        await asyncio.wait_for(asyncio.gather(*(ask(handler, "who") for _ in range(4))), 20)

    run(story)


def test_what_is_not_http_is_refused() -> None:
    async def story(handler: SiteHandler) -> None:
        with pytest.raises(ValueError, match="only handle ASGI/HTTP"):
            await handler({"type": "websocket"}, None, None)

    run(story)


@pytest.mark.parametrize("how", ["the client goes away", "the server is stopped"])
def test_a_stream_on_the_straight_way_is_ended_and_closed(how: str) -> None:
    async def story(handler: SiteHandler) -> None:
        gone = asyncio.Event()
        asked = asyncio.create_task(ask(handler, "stream", gone))
        await asyncio.to_thread(begun.wait, 20)
        if how == "the client goes away":
            gone.set()
            await asyncio.wait_for(asked, 20)
        else:
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        assert ended == ["the bytes", "the response"]

    run(story)
