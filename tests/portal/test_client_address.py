"""What a client says about itself is not believed: not where it comes from, not how, and not to whom it speaks."""

import asyncio
from pathlib import Path
from typing import Any

from allauth.account.adapter import get_adapter
from django.core.cache import cache
from django.test import Client, RequestFactory
from rest_framework.throttling import SimpleRateThrottle

from distribution.views import ask_of
from portal.accounts.models import Account
from portal.asgi import behind_proxy
from portal.throttling import network_of

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = {
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "evil.example",
    "x-forwarded-port": "9999",
    "x-real-ip": "203.0.113.9",
    "forwarded": "for=203.0.113.9;proto=https;host=evil.example",
}


def seen_from(peer: str, *claims: str) -> tuple[str, str]:
    """The client and the scheme that reach the site, from a peer that sends these X-Forwarded-For."""
    found: dict[str, Any] = {}

    async def site(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope)

    headers = [(b"x-forwarded-for", claim.encode()) for claim in claims]
    scope = {
        "type": "http",
        "client": (peer, 1),
        "scheme": "http",
        "headers": [*headers, (b"x-forwarded-proto", b"https")],
    }
    asyncio.run(behind_proxy(site)(scope, None, None))
    return found["client"][0], found["scheme"]


def test_without_a_proxy_no_header_is_believed_not_even_of_this_machine(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ""
    assert seen_from("127.0.0.1", "203.0.113.9") == ("127.0.0.1", "http")


def test_the_headers_of_the_proxy_are_believed_and_of_nobody_else(settings: Any) -> None:
    settings.TRUSTED_PROXIES = "10.0.0.1"
    assert seen_from("10.0.0.1", "198.51.100.7") == ("198.51.100.7", "https")
    assert seen_from("198.51.100.7", "203.0.113.9") == ("198.51.100.7", "http")


def test_what_a_client_put_before_the_address_from_its_proxy_is_not_believed(settings: Any) -> None:
    settings.TRUSTED_PROXIES = "10.0.0.1"
    assert seen_from("10.0.0.1", "203.0.113.9, 198.51.100.7")[0] == "198.51.100.7"
    assert seen_from("10.0.0.1", "203.0.113.9", "198.51.100.7")[0] == "198.51.100.7"


def test_the_web_server_itself_believes_none() -> None:
    """It would believe every program on this machine."""
    for file in ("deploy/entrypoint.sh", "demo/supervisor.py"):
        text = (ROOT / file).read_text()
        assert "--no-proxy-headers" in text, file
        assert "--proxy-headers" not in text.replace("--no-proxy-headers", ""), file


def test_every_reader_of_an_address_takes_that_of_the_connection(rf: RequestFactory) -> None:
    request = rf.get("/", headers=CLAIMS, REMOTE_ADDR="198.51.100.7")
    assert (
        ask_of(request).ip == "198.51.100.7"
    )  # the record of downloads, and links bound to a network
    assert network_of(request) == "198.51.100.7"  # our limits
    assert SimpleRateThrottle.get_ident(SimpleRateThrottle, request) == "198.51.100.7"  # DRF's  # type: ignore[arg-type]
    assert get_adapter().get_client_ip(request) == "198.51.100.7"  # allauth's limits and mails
    assert (request.scheme, request.get_host(), request.get_port()) == ("http", "testserver", "80")


def test_guesses_are_limited_whatever_address_they_claim(alice: Account) -> None:
    cache.clear()
    said = [
        Client()
        .post(
            "/account/login/",
            {"login": alice.email, "password": "wrong"},
            headers={"x-forwarded-for": f"203.0.113.{number}"},
        )
        .content.decode()
        for number in range(12)
    ]
    assert "Too many failed" in said[-1]
    assert "Too many failed" not in said[0]


def test_no_code_of_ours_reads_such_a_header() -> None:
    names = ("X_FORWARDED", "X-Forwarded", "x-forwarded", "X-Real", "HTTP_FORWARDED")
    readers = {
        str(file.relative_to(ROOT))
        for folder in ("portal", "access_requests", "distribution", "inference_sandbox")
        for file in (ROOT / folder).rglob("*.py")
        if any(name in file.read_text() for name in names)
    }
    assert readers <= {"portal/asgi.py", "portal/settings.py"}  # which name them, and say why
