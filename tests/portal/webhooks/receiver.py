"""A receiver of webhooks: a real HTTP server, which answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving

Answer = Callable[[BaseHTTPRequestHandler, int], None]  # the request, and how many came before it


def status(number: int, text: str = "", **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler, _: int) -> None:
        request.send_response(number)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(text.encode())))
        request.end_headers()
        request.wfile.write(text.encode())

    return answer


def dies(request: BaseHTTPRequestHandler, _: int) -> None:
    """The request was taken, and perhaps acted upon; no answer ever comes."""
    request.connection.close()


class Receiver:
    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.answer: Answer = status(204)
        receiver, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    before = len(receiver.seen)
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    receiver.seen.append((headers, body))
                receiver.answer(self, before)

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                with suppress(OSError, ValueError):  # the connection that `dies` closed
                    super().handle()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.seen]

    @property
    def sequences(self) -> list[int]:
        return [message["sequence"] for message in self.messages]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.seen]


@contextmanager
def running() -> Iterator[Receiver]:
    receiver = Receiver()
    with serving(receiver.server):
        yield receiver
