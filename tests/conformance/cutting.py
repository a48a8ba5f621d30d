"""A line that is cut: a proxy between a client and the site."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BLOCK = 65536


@dataclass
class Line:
    """The proxy's address, and what went through it. cuts: after how many bytes of an answer that is longer
    the line is cut, one number for each cut to come.
    """

    url: str
    cuts: list[int]
    requests: list[bytes] = field(default_factory=list)  # the head of each

    def ranges(self) -> list[str]:
        """The Range header of each GET of a file, "" where it had none."""
        found = []
        for head in self.requests:
            if head.startswith(b"GET ") and b"/resolve/" in head.split(b"\r\n")[0]:
                lines = head.decode().lower().split("\r\n")
                found.append(next((line[7:] for line in lines if line.startswith("range: ")), ""))
        return found


@contextmanager
def cut_line(target: str, *cuts: int) -> Iterator[Line]:
    """A proxy to `target` that ends a connection (FIN, in the middle of a body) after so many bytes."""
    server = socket.create_server(("127.0.0.1", 0))
    line = Line(f"http://127.0.0.1:{server.getsockname()[1]}", list(cuts))
    threading.Thread(target=_accept, args=(server, target, line), daemon=True).start()
    try:
        yield line
    finally:
        server.close()


def _accept(server: socket.socket, target: str, line: Line) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:  # closed
            return
        threading.Thread(target=_carry, args=(client, target, line), daemon=True).start()


def _carry(client: socket.socket, target: str, line: Line) -> None:
    """One request for each connection: the site is told to close behind its answer."""
    place = urlsplit(target)
    with client, socket.create_connection((place.hostname, place.port)) as site:
        head, _, rest = _head(client).partition(b"\r\n\r\n")
        if not head:
            return
        line.requests.append(head)
        site.sendall(head + b"\r\nConnection: close\r\n\r\n" + rest)
        sent = 0
        while block := site.recv(BLOCK):
            if line.cuts and sent + len(block) > line.cuts[0]:
                client.sendall(block[: line.cuts.pop(0) - sent])
                return
            client.sendall(block)
            sent += len(block)


def _head(client: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and (block := client.recv(BLOCK)):
        received += block
    return received
