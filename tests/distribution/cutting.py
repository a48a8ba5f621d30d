"""A line between client and site that is cut, changed, or answers by itself, and counts every byte.

It stands in front of the site under an address of its own, or is used as an HTTP proxy.
"""

import re
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import accumulate
from urllib.parse import urlsplit

from django.db import connections

BLOCK = 64 * 1024


@dataclass
class Exchange:
    """One request and what came back over the line. sent: bytes of the body that were passed on."""

    number: int
    method: str
    target: str
    head: str
    status: int = 0
    first: int = 0
    length: int = 0
    sent: int = 0
    was_cut: bool = False

    @property
    def is_download(self) -> bool:
        """The bytes of a file, by a link or at the hub's door."""
        return self.target.startswith("/download/") or "/resolve/" in self.target

    @property
    def name(self) -> str:
        return self.target.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Cut:
    """After so many bytes of the answer, its head among them. abrupt: with a reset."""

    after: int
    abrupt: bool = False


@dataclass
class Line:
    """Hooks, each asked for every exchange: `cut` when to cut, `answer` what to answer instead of the
    site, `change` what to make of a block of a body (of the same length), `rewrite` what to make of a
    whole body that is not a file's.
    """

    upstream: str
    cut: Callable[[Exchange], Cut | None] = lambda _: None
    answer: Callable[[Exchange], bytes | None] = lambda _: None
    change: Callable[[Exchange, bytes], bytes] = lambda _, block: block
    rewrite: Callable[[Exchange, bytes], bytes] = lambda _, body: body
    exchanges: list[Exchange] = field(default_factory=list)
    url: str = ""

    def downloads(self) -> list[Exchange]:
        return [one for one in self.exchanges if one.is_download]

    def fetched(self) -> dict[str, list[tuple[int, int]]]:
        """Name of a file → the ranges of its bytes that passed over the line, end not included."""
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for one in self.downloads():
            if one.status in (200, 206) and one.sent:
                found[one.name].append((one.first, one.first + one.sent))
        return found

    def most_often(self, name: str) -> int:
        """How often the byte of this file passed that passed most often."""
        edges = [edge for first, end in self.fetched()[name] for edge in ((first, 1), (end, -1))]
        return max(accumulate(step for _, step in sorted(edges)), default=0)

    def again(self) -> int:
        """Bytes of files that passed when they had passed before."""
        repeated = 0
        for ranges in self.fetched().values():
            seen = 0
            for first, end in sorted(ranges):
                repeated += max(0, min(end, seen) - first)
                seen = max(seen, end)
        return repeated

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        try:
            self._pass_on(client)
        finally:
            connections.close_all()  # a hook may have asked the database in this thread

    def _pass_on(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head, rest = _head(client)
            if not head:
                return
            exchange = self._exchange(head)
            if (given := self.answer(exchange)) is not None:
                exchange.status = int(given.split(b" ", 2)[1])
                client.sendall(given)
                return
            with socket.create_connection(
                (urlsplit(self.upstream).hostname, urlsplit(self.upstream).port)
            ) as site:
                site.sendall(_for_site(head, exchange.target) + rest)
                self._answered(exchange, client, site)

    def _exchange(self, head: bytes) -> Exchange:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        if target.startswith("http://"):
            target = target.split("/", 3)[3]
            target = f"/{target}"
        exchange = Exchange(len(self.exchanges), method, target, head.decode("latin-1"))
        self.exchanges.append(exchange)
        return exchange

    def _answered(self, exchange: Exchange, client: socket.socket, site: socket.socket) -> None:
        head, body = _head(site)
        _read_head(exchange, head)
        if not exchange.is_download:
            whole = body + b"".join(iter(lambda: site.recv(BLOCK), b""))
            body = self.rewrite(exchange, whole)
            head = re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % len(body), head)
        cut = self.cut(exchange)
        left = cut.after if cut else None
        for is_body, block in _blocks(head, body, site):
            if is_body:
                block = self.change(exchange, block)
            if left is not None and len(block) > left:
                client.sendall(block[:left])
                exchange.sent += left if is_body else 0
                exchange.was_cut = True
                _break(client, abrupt=bool(cut and cut.abrupt))
                return
            client.sendall(block)
            exchange.sent += len(block) if is_body else 0
            left = None if left is None else left - len(block)


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a message with its empty line, and what came behind it already."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(BLOCK)
        if not block:
            return b"", data
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _for_site(head: bytes, target: str) -> bytes:
    first, _, others = head.partition(b"\r\n")
    method, _, version = first.split(b" ", 2)
    return b"%s %s %s\r\nConnection: close\r\n%s" % (method, target.encode(), version, others)


def _read_head(exchange: Exchange, head: bytes) -> None:
    lines = head.decode("latin-1").split("\r\n")
    exchange.status = int(lines[0].split(" ", 2)[1])
    for line in lines[1:]:
        name, _, value = line.partition(":")
        match name.lower():
            case "content-length":
                exchange.length = int(value)
            case "content-range" if "*" not in value:
                exchange.first = int(value.split()[1].split("-")[0])


def _blocks(head: bytes, body: bytes, site: socket.socket) -> Iterator[tuple[bool, bytes]]:
    yield False, head
    if body:
        yield True, body
    while block := site.recv(BLOCK):
        yield True, block


def _break(client: socket.socket, *, abrupt: bool) -> None:
    if abrupt:  # a reset instead of an orderly end: what is under way is lost
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@contextmanager
def line_to(upstream: str) -> Iterator[Line]:
    """A line to the site, under the address `line.url`."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(upstream, url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=line.serve, args=(listener,), daemon=True)
    thread.start()
    try:
        yield line
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def plain(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer. Header names with `_` for `-`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
