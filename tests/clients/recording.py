"""Writes down the requests of a client as the site gets them, and keeps them in tests/clients/recorded/."""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests.serving import serving_site

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FOLDER = Path(__file__).parent / "recorded"
# Other headers change nothing in what the site answers; these are left out where they say the usual.
HEADERS = ("accept", "accept-encoding", "content-type", "if-none-match", "if-range", "range")
USUAL = {("accept", "*/*"), ("accept-encoding", "gzip, deflate"), ("accept-encoding", "identity")}
COMMIT = "{commit}"  # stands for the commit that `main` and `v1` mean


@dataclass
class Exchange:
    """One request, and the status that it was answered with. path: with its query, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0


@dataclass(frozen=True)
class Client:
    """What a client does with what the site answers."""

    name: str
    user_agent: str
    # Whether it sends its token again after a redirect to the same origin.
    keeps_token: bool
    # Whether it goes on at the `Location` of a HEAD that is no redirect, as huggingface_hub does.
    follows_location: bool


@dataclass(frozen=True)
class Request:
    """A request to send again. by: alice, mallory, nobody (no token) or stranger (a token that is not known here)."""

    by: str
    method: str
    path: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def as_json(self) -> list[Any]:
        row = [self.by, self.method, self.path, self.status, dict(self.headers), self.body]
        while not row[-1]:
            row.pop()
        return row

    @classmethod
    def of_json(cls, row: list[Any]) -> "Request":
        headers = row[4] if len(row) > 4 else {}
        return cls(*row[:4], tuple(headers.items()), *row[5:])


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

    def requests(self, tokens: dict[str, str], commit: str) -> list[Request]:
        """Each different request once. tokens: the name of the person who has it."""
        found = {_request(exchange, tokens, commit) for exchange in self.exchanges}
        return sorted(found, key=lambda one: (one.by, one.path, one.method, one.body, one.headers))


def save(file: str, client: Client, requests: list[Request]) -> None:
    rows = ",\n".join(f"  {json.dumps(one.as_json())}" for one in requests)
    head = json.dumps(asdict(client))[:-1]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{file}.json").write_text(f'{head}, "requests": [\n{rows}\n]}}\n')


def load(file: str) -> tuple[Client, list[Request]]:
    kept = json.loads((FOLDER / f"{file}.json").read_text())
    requests = [Request.of_json(row) for row in kept.pop("requests")]
    return Client(**kept), requests


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def _exchange(scope: Scope) -> Exchange:
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode()
    path = scope["raw_path"].decode() + (f"?{query}" if query else "")
    return Exchange(scope["method"], path, headers)


def _request(exchange: Exchange, tokens: dict[str, str], commit: str) -> Request:
    scheme, _, token = exchange.headers.get("authorization", "").partition(" ")
    return Request(
        by=tokens.get(token, "stranger") if scheme else "nobody",
        method=exchange.method,
        path=exchange.path.replace(commit, COMMIT),
        status=exchange.status,
        headers=tuple(
            (name, exchange.headers[name])
            for name in HEADERS
            if name in exchange.headers and (name, exchange.headers[name]) not in USUAL
        ),
        body=exchange.body.decode().replace(commit, COMMIT),
    )


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def live(settings: Settings, transactional_db: None, recorder: Recorder) -> Iterator[str]:
    """The site behind a real server, whose requests are written down."""
    with serving_site(recorder.around) as url:
        settings.BASE_URL = url
        yield url
