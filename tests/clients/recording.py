"""Writes down the requests of a client as the site gets them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Exchange:
    """One request, and the status that it was answered with. path: with its query, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0


@dataclass
class Recorder:
    """Stands between the server and the site (ASGI)."""

    exchanges: list[Exchange] = field(default_factory=list)

    def around(self, app: App) -> App:
        async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            exchange = _exchange(scope)
            self.exchanges.append(exchange)

            async def received() -> dict[str, Any]:
                message = await receive()
                exchange.body += message.get("body", b"")
                return message

            async def sent(message: dict[str, Any]) -> None:
                exchange.status = message.get("status", exchange.status)
                await send(message)

            await app(scope, received, sent)

        return recorded


def _exchange(scope: Scope) -> Exchange:
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode()
    path = scope["raw_path"].decode() + (f"?{query}" if query else "")
    return Exchange(scope["method"], path, headers)
