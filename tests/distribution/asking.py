"""Asking the site as an asynchronous server does, from an ordinary test."""

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.test import AsyncClient

from distribution.models import Download


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@async_to_sync
async def ask(url: str, method: str = "GET", **headers: str) -> Answer:
    """Open a link, as curl does. Header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response: HttpResponse = await AsyncClient().generic(method, urlsplit(url).path, headers=named)
    parts = [part async for part in response] if response.streaming else [response.content]
    return Answer(response.status_code, dict(response.headers), b"".join(parts))


def finished(row: Download) -> Download:
    """The row of a transfer from the live site, once it is over: written after the last byte."""
    deadline = time.monotonic() + 10
    while row.finished_at is None:
        assert time.monotonic() < deadline, "the row of a transfer was never finished"
        time.sleep(0.02)
        row.refresh_from_db()
    return row
