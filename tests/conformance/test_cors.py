"""Pages of another origin: closed by default; a setting opens what takes tokens. In a real browser too."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.test import override_settings
from playwright.sync_api import Page, sync_playwright

from access_requests.models import Grant, Tier
from portal.accounts.models import Scope
from tests.browser.conftest import CHROMIUM, QUIET
from tests.conformance.openai_server import Served, key_of
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store
from tests.serving import serving, serving_site

pytestmark = pytest.mark.django_db

APP = "https://app.example.org"
FETCH = """
async ([url, token, method, body]) => {
  const headers = {authorization: `Bearer ${token}`, 'x-stainless-lang': 'js'};
  if (body) headers['content-type'] = 'application/json';
  else headers.range = 'bytes=0-9';
  try {
    const answer = await fetch(url, {method, headers, body});
    return [answer.status, await answer.text(), Object.fromEntries(answer.headers)];
  } catch (error) {
    return [0, String(error), {}];
  }
}
"""


@contextmanager
def site_for(*origins: str) -> Iterator[str]:
    """The same site, started with WEIGHBRIDGE_CORS_ORIGINS."""
    everywhere = origins == ("*",)
    with override_settings(
        CORS_ALLOW_ALL_ORIGINS=everywhere,
        CORS_ALLOWED_ORIGINS=[] if everywhere else list(origins),
        MIDDLEWARE=["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE],
    ):
        with serving_site() as url:
            yield url


def preflight(url: str, path: str, origin: str = APP) -> httpx.Response:
    return httpx.options(
        url + path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
        },
    )


def allowed(answer: httpx.Response) -> dict[str, str]:
    names = ("access-control-", "vary")
    return {name: value for name, value in answer.headers.items() if name.startswith(names)}


OPEN = [
    "/v1/models",
    "/v1/chat/completions",
    "/models/meta/llama-7b/v1/responses",
    "/tokenize",
    "/api/models",
    "/api/models/meta/llama-7b",
    "/api/whoami-v2",
    "/meta/llama-7b/resolve/main/params.json",
]
CLOSED = ["/", "/account/login/", "/api/v1/grants/", "/sandbox/", "/admin/", "/download/x/y"]


@pytest.mark.parametrize("path", [*OPEN, *CLOSED])
def test_by_default_nothing_is_open_to_pages_of_others(served: Served, path: str) -> None:
    for answer in (
        preflight(served.url, path),
        httpx.get(served.url + path, headers={"Origin": APP}),
    ):
        assert not {name for name in allowed(answer) if name != "vary"}


def test_by_default_a_preflight_is_told_who_can_open_it(served: Served) -> None:
    answer = preflight(served.url, "/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cors_disabled")
    assert "WEIGHBRIDGE_CORS_ORIGINS" in answer.json()["error"]["message"]


def test_the_setting_opens_what_takes_tokens_and_nothing_else(served: Served) -> None:
    with site_for(APP) as url:
        for path in OPEN:
            answer = preflight(url, path)
            assert answer.status_code == 200, path
            said = allowed(answer)
            assert said["access-control-allow-origin"] == APP
            assert said["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS"
            assert said["access-control-allow-headers"] == "*, Authorization"
            assert "access-control-allow-credentials" not in said
            assert "origin" in said["vary"].lower()
            for stranger in ("https://evil.example.org", "null", f"{APP}:8443"):
                assert "access-control-allow-origin" not in allowed(preflight(url, path, stranger))
        for path in CLOSED:
            for answer in (preflight(url, path), httpx.get(url + path, headers={"Origin": APP})):
                assert "access-control-allow-origin" not in allowed(answer), path


def test_a_cookie_opens_nothing_across_origins(served: Served) -> None:
    with site_for("*") as url:
        for path in ("/v1/models", f"/{served.model}/resolve/main/params.json"):
            answer = httpx.get(url + path, headers={"Origin": APP, "Cookie": "sessionid=1"})
            assert answer.status_code == 401
            assert allowed(answer)["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in allowed(answer)


def test_errors_and_streams_can_be_read_too(served: Served) -> None:
    headers = {"Origin": APP, "authorization": f"Bearer {served.key}"}
    body = {"model": served.model, "input": "Hi", "max_output_tokens": 2, "stream": True}
    with site_for(APP) as url:
        stream = httpx.post(f"{url}/v1/responses", json=body, headers=headers)
        wrong = httpx.post(f"{url}/v1/responses", json={}, headers=headers)
    assert stream.headers["content-type"] == "text/event-stream"
    for answer in (stream, wrong):
        assert allowed(answer)["access-control-allow-origin"] == APP
        exposed = allowed(answer)["access-control-expose-headers"]
        for name in ("X-Request-Id", "Retry-After", "X-Repo-Commit", "ETag", "Link"):
            assert name in exposed


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "[] False False"),
        ("*", "[] True True"),
        (f"{APP}, http://localhost:5173", f"['{APP}', 'http://localhost:5173'] False True"),
        ("http://[::1]:5173", "['http://[::1]:5173'] False True"),
    ],
)
def test_the_variable_becomes_the_setting(tmp_path: Path, value: str, said: str) -> None:
    done = started(tmp_path, value)
    assert done.stdout.strip() == said, done.stderr


@pytest.mark.parametrize(
    "value",
    ["app.example.org", f"{APP}/", f"{APP}/chat", f"{APP},*", "null", "https://*.org", "ftp://a"],
)
def test_a_value_that_is_no_origin_stops_the_start(tmp_path: Path, value: str) -> None:
    done = started(tmp_path, value)
    assert done.returncode
    assert "WEIGHBRIDGE_CORS_ORIGINS" in done.stderr


def started(home: Path, value: str) -> subprocess.CompletedProcess[str]:
    script = (
        "from portal import settings as s; print(s.CORS_ALLOWED_ORIGINS, s.CORS_ALLOW_ALL_ORIGINS, "
        "'corsheaders.middleware.CorsMiddleware' in s.MIDDLEWARE)"
    )
    env = {**os.environ, "WEIGHBRIDGE_HOME": str(home), "WEIGHBRIDGE_CORS_ORIGINS": value}
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)


@pytest.fixture
def token(served: Served) -> Iterator[str]:
    """Of alice, who may download too. Made before the browser, in whose thread Django sees an event loop."""
    grant, tier = Grant.objects.filter(pk=served.grant.pk), served.grant.tier
    grant.update(tier=Tier.WEIGHTS)
    yield key_of(served.alice, Scope.SANDBOX, Scope.READ, Scope.DOWNLOAD)
    grant.update(tier=tier)


@pytest.fixture
def page(token: str, tmp_path: Path) -> Iterator[Page]:
    """A page of another origin."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    (tmp_path / "index.html").write_text("<!doctype html><title>An app</title>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with serving(server), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()


@pytest.mark.browser
def test_in_a_browser_the_setting_decides(served: Served, token: str, page: Page) -> None:
    app = page.evaluate("location.origin")

    def fetch(url: str, method: str = "GET", body: str | None = None) -> Any:
        return page.evaluate(FETCH, [url, token, method, body])

    file = f"/{served.model}/resolve/main/params.json"
    for path in ("/v1/models", file):
        status, error, _ = fetch(served.url + path)
        assert (status, error) == (0, "TypeError: Failed to fetch")
    with site_for(app) as url:
        status, text, headers = fetch(f"{url}/v1/models")
        assert (status, served.model in text) == (200, True)
        assert headers["x-request-id"]
        status, text, headers = fetch(url + file)
        assert (status, len(text)) == (206, 10)
        assert headers["x-repo-commit"]
        assert headers["content-range"].startswith("bytes 0-9/")
        body = (
            f'{{"model": "{served.model}", "input": "Hi", "max_output_tokens": 2, "stream": true}}'
        )
        status, text, _ = fetch(f"{url}/v1/responses", "POST", body)
        assert status == 200
        assert "event: response.incomplete" in text
        assert fetch(f"{url}/api/v1/grants/")[0] == 0, "REST stays closed"
    with site_for("https://another.example.org") as url:
        assert fetch(f"{url}/v1/models")[0] == 0
