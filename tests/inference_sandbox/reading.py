"""Reading an event stream as browsers do, through the real ASGI handler."""

from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.test import AsyncClient


@dataclass(frozen=True)
class Event:
    name: str
    data: str
    id: str


@dataclass(frozen=True)
class Heard:
    status: int
    headers: dict[str, str]
    events: list[Event]
    body: bytes

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


def parse(text: str) -> list[Event]:
    """As the standard says: blocks ended by an empty line, comments skipped."""
    events = []
    for block in text.split("\n\n")[:-1]:
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        if "data" in fields:
            events.append(
                Event(fields["event"][0], "\n".join(fields["data"]), fields.get("id", [""])[0])
            )
    return events


def hear(client: AsyncClient, url: str, *, most: int | None = None, **headers: str) -> Heard:
    """The whole stream, or its first `most` pieces: then the reader hangs up."""

    async def collect() -> Heard:
        response: Any = await client.get(url, headers=headers)
        pieces: list[bytes] = []
        if response.streaming:
            async for piece in response:
                pieces.append(piece)
                if most and len(pieces) >= most:
                    break
        body = b"".join(pieces) if response.streaming else response.content
        return Heard(response.status_code, dict(response.headers), parse(body.decode()), body)

    return async_to_sync(collect)()
