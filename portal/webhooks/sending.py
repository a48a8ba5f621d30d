"""One POST to an address that somebody typed in: bounded in time, never redirected, never into this network.

The name is resolved once, each of its addresses is checked, and the connection goes to a checked one; a name that
resolves differently a moment later leads nowhere. No proxy is used, for it would resolve the name anew.
"""

import ipaddress
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

RESOLVE_SECONDS = 5
CONNECT_SECONDS = 5
TOTAL_SECONDS = 15  # from the connection to the last byte that is read
ANSWER_BYTES = 500


class Refused(OSError):
    """The address is not one to which events are sent."""


@dataclass(frozen=True)
class Answer:
    took_ms: int
    status: int | None = None
    text: str = ""
    error: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.error


def why_not(url: str) -> str:
    """What is wrong with the address as it is written; empty if nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not an address."
    if any(ord(char) <= 32 or ord(char) > 126 for char in url):
        return "Spaces and letters beyond ASCII have to be encoded (%20; xn--…)."
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        return "An address begins with https:// and names a host."
    if parts.scheme == "http" and not settings.WEBHOOK_HTTP:
        return "Events go over https only."
    if parts.username is not None or parts.password is not None:
        return "Leave user name and password out; the signature shows who sends."
    if parts.fragment or "#" in url:
        return "Leave out what begins with #; no server sees it."
    try:
        _check(parts.hostname)
    except Refused as error:
        return str(error)
    except ValueError:
        pass  # a name: it is checked when it is resolved, each time
    return ""


def post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Send it, and say what came of it. Raises nothing."""
    began = time.monotonic()

    def after() -> int:
        return round((time.monotonic() - began) * 1000)

    if problem := why_not(url):  # the setting may have changed since it was typed
        return Answer(after(), error=problem)
    try:
        status, text, location = _exchange(urlsplit(url), body, headers)
    except (OSError, HTTPException, ValueError) as trouble:
        return Answer(after(), error=_words(trouble))
    if 200 <= status < 300:
        return Answer(after(), status, text)
    if 300 <= status < 400:
        error = (
            f"It answers with a redirect to {location[:200] or 'nowhere'}, which is not followed."
        )
        return Answer(after(), status, text, error)
    return Answer(after(), status, text, f"It answers {status}; 200 to 299 means received.")


def _exchange(parts: SplitResult, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
    assert parts.hostname is not None
    kind = _Secure if parts.scheme == "https" else _Plain
    connection = kind(parts.hostname, parts.port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        try:
            text = response.read(ANSWER_BYTES).decode("utf-8", "replace").replace("\0", "")
        except (OSError, HTTPException):
            text = ""  # the status has come, and it decides
        return response.status, text, response.headers.get("Location", "")
    except (OSError, HTTPException) as error:
        if connection.watch and connection.watch.is_over:
            raise TimeoutError(f"no answer within {TOTAL_SECONDS} s") from error
        raise
    finally:
        if connection.watch:
            connection.watch.cancel()
        connection.close()


class _Plain(HTTPConnection):
    watch: "Watch | None" = None

    def connect(self) -> None:
        self.sock = _connected(self.host, self.port)
        self.watch = Watch(self.sock)


class _Secure(HTTPSConnection):
    watch: "Watch | None" = None

    def connect(self) -> None:
        self.sock = ssl.create_default_context().wrap_socket(
            _connected(self.host, self.port),
            server_hostname=self.host,
            do_handshake_on_connect=False,
        )
        self.watch = Watch(self.sock)
        self.sock.do_handshake()


class Watch:
    """Ends the exchange when its time is up, however busily the other side drips."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_over = False
        sock.settimeout(TOTAL_SECONDS)
        self.timer = Timer(TOTAL_SECONDS, self.cut)
        self.timer.daemon = True
        self.timer.start()

    def cut(self) -> None:
        """Below TLS, whose own shutdown would wait for the other side."""
        self.is_over = True
        with suppress(OSError):  # it ended by itself
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def cancel(self) -> None:
        self.timer.cancel()


def _connected(host: str, port: int) -> socket.socket:
    """A connection to one of the host's addresses, all of which are allowed."""
    found = _resolve(host, port)
    for *_, address in found:
        _check(str(address[0]))
    problem: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(CONNECT_SECONDS)
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
        else:
            return sock
    raise problem


def _resolve(host: str, port: int) -> list[Any]:
    pool = ThreadPoolExecutor(1)  # for the resolver knows no time limit
    try:
        lookup = pool.submit(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
        return lookup.result(RESOLVE_SECONDS)[:4]
    except TookTooLong as error:
        raise TimeoutError(f"the name was not resolved within {RESOLVE_SECONDS} s") from error
    finally:
        pool.shutdown(wait=False)


def _check(text: str) -> None:
    """Raises Refused unless the address is public, or in a network that the operator allowed."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    if any(address in network for network in settings.WEBHOOK_NETWORKS):
        return
    public = address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )
    if not public:
        raise Refused(
            f"{address} is not a public address. An operator can allow its network "
            "(WEIGHBRIDGE_WEBHOOK_NETWORKS)."
        )


def _words(error: Exception) -> str:
    match error:
        case Refused():
            return str(error)
        case socket.gaierror():
            return "The name of the host is not known."
        case ssl.SSLCertVerificationError():
            return f"Its certificate is not good: {error.verify_message}."
        case TimeoutError():
            return f"Too slow: {error}."
    return f"{type(error).__name__}: {error}"
