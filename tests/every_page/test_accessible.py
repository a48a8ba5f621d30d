"""axe finds nothing serious on any page of the site, in light and in dark."""

import mimetypes
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser, Route
from playwright.sync_api import Page as Tab

from tests.browser.axe import violations
from tests.browser.conftest import CHROMIUM
from tests.every_page.conftest import Found
from tests.every_page.crawl import HOST, Page
from tests.walker.addresses import routes

pytestmark = pytest.mark.timeout(900)  # the crawl counts for its first test
NO_HTML = "no page: a file, a stream, JSON, a script's part, or a way on to another address"
NOBODY = "nobody may, whatever their role"
RECORD = "the admin's own history is off: what happened to a row stands in the audit log"
NO_OTHER_DOOR = "no other site to sign in with is set up"
NOT_LOOKED_AT = {
    r"(v1|models)/.*|(de)?tokenize|tokenizer_info": NO_HTML,
    r"api/.*|healthz|account/data/|account/2fa/recovery-codes/download/": NO_HTML,
    r"<(repo:repo|path:rest)>/resolve/.*|download/<rest>|manifest-key.pub|weighbridge-download.sh": NO_HTML,
    r"account/2fa/webauthn/login/|account/(password/set|login/code/confirm)/": NO_HTML,
    r"applications/attachments/.*|releases/<slug:slug>/download.sh|sandbox/runs/<uuid:run_id>/stream/": NO_HTML,
    r"sandbox/runs/(export/<slug:kind>/|<uuid:run_id>/run.json)": NO_HTML,
    r"sandbox/(runs/<uuid:run_id>/place/|jobs/<uuid:job_id>/results.(csv|jsonl))": NO_HTML,
    r"admin/|admin/(jsi18n|autocomplete|search|login)/": NO_HTML,
    r"admin/(\w+/\w+/<path:object_id>/|r/.*|access_requests/application/(<int:pk>/)?next/)": NO_HTML,
    r"admin/.*/(export/<slug:kind>|proof)/": NO_HTML,
    r"admin/\w+/\w+/(add|<path:object_id>/delete)/": NOBODY,
    r"admin/.*/<path:object_id>/history/": RECORD,
    r"account/(3rdparty|social)/.*|admin/socialaccount/.*": NO_OTHER_DOOR,
}


@pytest.fixture
def tab(found: Found, browser: Browser) -> Any:
    """A tab in which the pages that were found are open as they were given, with their style and scripts."""
    context = browser.new_context(base_url=HOST)
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
def test_axe_finds_no_serious_violation_on_any_page(found: Found, tab: Tab) -> None:
    wrong = []
    for page in looked_at(found):
        show(tab, page)
        wrong += violations(tab, f"{page.who} {page.address}")
    assert not wrong, "\n".join(wrong)


def test_no_page_is_left_out(found: Found) -> None:
    """A new one is looked at where a link or a form leads to it, or said here why not."""
    seen = {pattern for pattern, pages in found.pages().items() if pages}
    left = {route.path for route in routes()} - seen - found.acts
    missing = [path for path in left if not any(re.fullmatch(one, path) for one in NOT_LOOKED_AT)]
    assert not missing, sorted(missing)


def show(tab: Tab, page: Page) -> None:
    """Its own HTML at its own address; what it asks of the site beyond its files is not answered."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(HOST)
        if route.request.is_navigation_request():
            route.fulfill(body=page.body, content_type="text/html; charset=utf-8")
        elif (file := _file(path.partition("?")[0])) is not None:
            route.fulfill(body=file, content_type=mimetypes.guess_type(path)[0])
        else:
            route.fulfill(status=204)

    tab.unroute_all()
    tab.route("**/*", answer)
    tab.goto(page.address)


@cache
def _file(path: str) -> bytes | None:
    """Of those beside the pages."""
    found = path.startswith("/static/") and finders.find(path.removeprefix("/static/"))
    return Path(found).read_bytes() if found else None
