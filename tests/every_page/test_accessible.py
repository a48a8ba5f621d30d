"""axe finds nothing serious on any page of the site, in light and in dark."""

import mimetypes
import re
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from tests.browser.axe import violations
from tests.browser.conftest import CHROMIUM
from tests.every_page.conftest import Found
from tests.every_page.crawl import Page
from tests.serving import serving
from tests.walker.addresses import routes

pytestmark = pytest.mark.timeout(900)  # the crawl counts for its first test
NO_HTML = "no page: a file, a stream, JSON, a script's part, or a way on to another address"
NOBODY = "nobody may, whatever their role"
RECORD = "the admin's own history is off: what happened to a row stands in the audit log"
NO_OTHER_DOOR = "no other site to sign in with is set up"
NOT_LOOKED_AT = {
    r"(v1|models)/.*|(de)?tokenize|tokenizer_info|<unknown_endpoint:rest>": NO_HTML,
    r"<repo:repo>/?|<repo:repo>/((tree|blob)/<path:rest>|info/refs)": NO_HTML,
    r"api/.*|healthz|account/data/|account/2fa/recovery-codes/download/": NO_HTML,
    r"<(repo:repo|path:rest)>/(resolve|raw)/.*|download/<rest>|manifest-key.pub|weighbridge-download.sh": NO_HTML,
    r"account/2fa/webauthn/login/|account/(password/set|login/code/confirm)/": NO_HTML,
    r"applications/attachments/.*|releases/<slug:slug>/download.sh|sandbox/runs/<uuid:run_id>/stream/": NO_HTML,
    r"sandbox/runs/(export/<slug:kind>/|<uuid:run_id>/run.json)": NO_HTML,
    r"sandbox/(runs/<uuid:run_id>/place/|jobs/<uuid:job_id>/results.(csv|jsonl))": NO_HTML,
    r"admin/|admin/(jsi18n|autocomplete|search|login)/": NO_HTML,
    r"admin/(\w+/\w+/<path:object_id>/|r/.*|access_requests/application/(<int:pk>/)?next/)": NO_HTML,
    r"admin/.*/(export/<slug:kind>|proof)/": NO_HTML,
    r"admin/catalog/release/<path:object_id>/(downloads|take_down)/": NO_HTML,
    r"admin/\w+/\w+/(add|<path:object_id>/delete)/": NOBODY,
    r"admin/.*/<path:object_id>/history/": RECORD,
    r"account/(3rdparty|social)/.*|admin/socialaccount/.*": NO_OTHER_DOOR,
}


class Shown(ThreadingHTTPServer):
    """Answers with a page's own HTML at its own address, and with its files, which the browser keeps from page to
    page, as it does not where Playwright answers; what else the page asks of the site is not answered.
    """

    daemon_threads = True
    page: Page

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: Shown
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.headers.get("Sec-Fetch-Mode") == "navigate":
            self._say(self.server.page.body.encode(), "text/html; charset=utf-8", "no-store")
        elif (file := _file(path)) is not None:
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            self._say(file, kind, "max-age=3600")
        else:
            self.send_response(204)
            self.end_headers()

    def _say(self, body: bytes, kind: str, keep: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", keep)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def shown() -> Iterator[Shown]:
    server = Shown()
    with serving(server):
        yield server


@pytest.fixture
def tab(found: Found, browser: Browser, shown: Shown) -> Iterator[Tab]:
    """A tab in which the pages that were found are open as they were given, with their style and scripts."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{shown.server_port}")
    yield context.new_page()
    context.close()


def looked_at(found: Found) -> list[Page]:
    """Of each pattern the page with most in it, and every page that a form or a mail led to."""
    whole = [
        [page for page in pages if "<html" in page.body[:200]]
        for pages in found.by_links.pages.values()
    ]
    most = [max(pages, key=lambda page: len(page.body)) for pages in whole if pages]
    return [*most, *(page for pages in found.by_forms.pages.values() for page in pages)]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_axe_finds_no_serious_violation_on_any_page(found: Found, tab: Tab, shown: Shown) -> None:
    wrong = []
    for page in looked_at(found):
        show(tab, shown, page)
        wrong += violations(tab, f"{page.who} {page.address}")
    assert not wrong, "\n".join(wrong)


def test_no_page_is_left_out(found: Found) -> None:
    """A new one is looked at where a link or a form leads to it, or said here why not."""
    seen = {pattern for pattern, pages in found.pages().items() if pages}
    left = {route.path for route in routes()} - seen - found.acts
    missing = [path for path in left if not any(re.fullmatch(one, path) for one in NOT_LOOKED_AT)]
    assert not missing, sorted(missing)


def show(tab: Tab, shown: Shown, page: Page) -> None:
    shown.page = page
    tab.goto(page.address)


@cache
def _file(path: str) -> bytes | None:
    """Of those beside the pages."""
    found = path.startswith("/static/") and finders.find(path.removeprefix("/static/"))
    return Path(found).read_bytes() if found else None
