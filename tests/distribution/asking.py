"""Asking the site as an asynchronous server does, from an ordinary test."""

import time
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from asgiref.sync import async_to_sync
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.http import HttpResponse
from django.test import AsyncClient
from pytest_django import Settings

from distribution.models import Download


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Asker(AsyncClient):
    """From an address, and with the path as a server reads it: in UTF-8."""

    ip = "127.0.0.1"

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        return {**super()._base_scope(**request), "client": [self.ip, 50_000]}

    def _get_path(self, parsed: SplitResult) -> str:
        return unquote(parsed.path)


@async_to_sync
async def ask(url: str, method: str = "GET", ip: str = Asker.ip, **headers: str) -> Answer:
    """Open a link, as curl does. Header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asker = Asker()
    asker.ip = ip
    response: HttpResponse = await asker.generic(method, urlsplit(url).path, headers=named)
    parts = [part async for part in response] if response.streaming else [response.content]
    return Answer(response.status_code, dict(response.headers), b"".join(parts))


def send_by(whom: str, settings: Settings) -> None:
    """Have the bytes sent by a proxy, S3 or CloudFront, none of which is asked for anything here."""
    if whom == "proxy":
        settings.SENDFILE_LOCATION = "/_store/"
        return
    settings.STORE_URL = "s3://bucket/prefix"
    settings.S3_ENDPOINT = settings.S3_PUBLIC_ENDPOINT = "http://127.0.0.1:9"
    settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = "key", "secret"
    if whom == "cloudfront":
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        pem = _rsa_key().private_bytes(serialization.Encoding.PEM, form, plain)
        settings.CLOUDFRONT_URL = "https://d111111abcdef8.cloudfront.net"
        settings.CLOUDFRONT_KEY_ID, settings.CLOUDFRONT_KEY = "K2JCJMDEHXQW5F", pem.decode()


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def finished(row: Download) -> Download:
    """The row of a transfer from the live site, once it is over: written after the last byte."""
    deadline = time.monotonic() + 10
    while row.finished_at is None:
        assert time.monotonic() < deadline, "the row of a transfer was never finished"
        time.sleep(0.02)
        row.refresh_from_db()
    return row
