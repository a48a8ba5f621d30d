"""A body is counted as it comes in, and refused in the form that its address's clients read."""

import asyncio
from typing import Any

import pytest
from pytest_django import Settings

from portal.accounts.models import Account
from portal.body_limits import DRAINED, MIB, limit_of
from portal.handler import SiteHandler
from tests.people import signed_in, with_token

HUB = "/api/models/meta/llama-7b/paths-info/main"
LARGE = b" " * 3_000_000


def form_of(answer: Any) -> str:
    if "error" in answer.json() and isinstance(answer.json()["error"], dict):
        assert answer.json()["error"]["code"] == "request_too_large"
        return "openai"
    assert answer["X-Error-Code"] == "too_large"
    return "hub" if "X-Error-Message" in answer else answer["Content-Type"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/completions", "openai"),
        ("/tokenize", "openai"),
        (HUB, "hub"),
        ("/api/models/meta/llama-7b/user-access-request/handle", "hub"),
        ("/api/v1/runs/", "application/problem+json"),
        ("/api/v1/releases/llama-7b/links/", "application/problem+json"),
        ("/api/v1/nothing/", "application/problem+json"),
    ],
)
def test_each_interface_refuses_a_large_body_in_its_own_form(
    path: str, form: str, alice: Account
) -> None:
    answer = with_token(alice).post(path, LARGE, content_type="application/json")
    assert (answer.status_code, form_of(answer)) == (413, form)


def test_the_script_reads_one_line_and_a_browser_a_page(alice: Account) -> None:
    kind = "application/x-www-form-urlencoded"
    line = with_token(alice).post("/api/v1/plain/", LARGE, content_type=kind)
    assert (line.status_code, line.content.count(b"\n")) == (413, 1)
    assert line.content.startswith(b"too_large: ")
    page = signed_in(alice).post("/account/", LARGE, content_type=kind)
    assert page.status_code == 413
    assert "What to do now" in page.content.decode()


def test_more_fields_than_a_form_may_have_is_a_refusal_and_no_fault(
    alice: Account, settings: Settings
) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 10
    body, kind = "&".join(["a=1"] * 11), "application/x-www-form-urlencoded"
    answer = with_token(alice).post("/api/v1/plain/", body, content_type=kind)
    assert (answer.status_code, answer["X-Error-Code"]) == (413, "too_large")
    page = signed_in(alice).post("/account/", body, content_type=kind)
    assert page.status_code == 413


def test_where_files_are_uploaded_there_is_room_for_them_and_no_more() -> None:
    assert limit_of("/api/v1/applications/7/attachments/plan/") == 6 * MIB
    assert limit_of("/applications/7/edit/") == limit_of("/applications/new/llama/") == 64 * MIB
    assert limit_of("/admin/distribution/networklist/load/") == 101 * MIB
    assert limit_of("/api/v1/applications/7/") == 2_621_440
    assert limit_of("/x/applications/7/edit/") == 2_621_440


# ---- without a Content-Length --------------------------------------------------------------------


class Exchange:
    """One request over ASGI, without a server: what was read of the body, and the answer."""

    def __init__(self, path: str, chunks: int, **headers: str) -> None:
        self.scope = {
            **{"type": "http", "method": "POST", "path": path, "raw_path": path.encode()},
            **{"query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1"},
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in {"host": "testserver", **headers}.items()
            ],
            **{"client": ("192.0.2.1", 1), "server": ("testserver", 80)},
        }
        self.left = chunks
        self.read = 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self.left == 0:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}
        self.left -= 1
        self.read += MIB
        return {"type": "http.request", "body": b"x" * MIB, "more_body": self.left > 0}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def run(self) -> int:
        await asyncio.wait_for(SiteHandler()(self.scope, self.receive, self.send), 10)
        return int(self.sent[0]["status"])


async def test_a_body_in_chunks_without_an_end_is_read_to_a_limit_and_refused() -> None:
    exchange = Exchange(HUB, 10_000, transfer_encoding="chunked")
    assert await exchange.run() == 413
    assert exchange.read <= limit_of(HUB) + DRAINED + 2 * MIB


async def test_who_has_sent_a_large_body_is_answered_after_it() -> None:
    exchange = Exchange(HUB, 5, content_length=str(5 * MIB))
    assert await exchange.run() == 413
    assert exchange.left == 0
    headers = dict(exchange.sent[0]["headers"])
    assert headers[b"Connection"] == b"close"


async def test_who_waits_for_a_go_ahead_is_refused_before_sending() -> None:
    exchange = Exchange(HUB, 5, content_length=str(5 * MIB), expect="100-continue")
    assert (await exchange.run(), exchange.read) == (413, 0)


async def test_a_body_within_the_limit_arrives_whole() -> None:
    exchange = Exchange("/api/v1/nothing/", 2, transfer_encoding="chunked")
    assert (await exchange.run(), exchange.read) == (404, 2 * MIB)
