"""A link that speaks for its reader is in no line of any log, whatever becomes of the request."""

import io
import logging
import logging.config
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.http import HttpRequest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from access_requests import mailed_links
from portal.accounts.models import Account, ApiToken
from portal.secret_paths import SECRET_PATHS, redact

TOKEN = "opensesame~Zm9v:1a2b3c"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the site's own handler writes, everything down to DEBUG."""
    handler_settings = site_settings.LOGGING["handlers"]["console"]
    config = logging.config.DictConfigurator(
        {**site_settings.LOGGING, "handlers": {"console": dict(handler_settings)}}
    )
    written, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    config.configure()
    ours = next(one for one in root.handlers if type(one) is logging.StreamHandler)
    ours.setStream(written)
    root.setLevel(logging.DEBUG)
    yield written
    root.handlers[:], root.level = before


def every_pattern(resolver: Any, before: str = "/") -> Iterator[tuple[str, URLPattern]]:
    for one in resolver.url_patterns:
        route = before + str(one.pattern).removeprefix("^")
        if isinstance(one, URLResolver):
            yield from every_pattern(one, route)
        else:
            yield route, one


def test_every_address_with_a_token_or_a_key_is_in_the_list() -> None:
    routes = [route for route, _ in every_pattern(get_resolver())]
    secret = {r for r in routes if re.search(r"<(\w+:)?(token|key|uidb36|signature)>", r)}
    assert len(secret) == 5
    assert {r for r in secret if not r.startswith(SECRET_PATHS)} == set()
    # And the other way about: nothing is in the list that is no address.
    assert [p for p in SECRET_PATHS if not any(r.startswith(p) for r in routes)] == []


def test_the_proxy_has_the_same_list() -> None:
    template = (ROOT / "deploy" / "nginx.conf.template").read_text()
    listed = re.search(r"/\(\?:([a-z/|-]+)\)/", template)
    assert listed
    assert sorted(listed[1].split("|")) == sorted(path.strip("/") for path in SECRET_PATHS)


@pytest.mark.parametrize("path", SECRET_PATHS)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_no_refused_request_leaves_its_token_in_the_log(
    db: None, log: io.StringIO, path: str, accept: str
) -> None:
    client = Client(headers={"accept": accept}, enforce_csrf_checks=True)
    client.raise_request_exception = False
    spelled = [
        f"{path}{TOKEN}",
        f"{path}{TOKEN}/",
        f"{path}{TOKEN}/params.json",
        f"{path}1-{TOKEN}/",  # as a link for a new password looks
        f"{path}%20{TOKEN}%0Aand-more/x",  # as a mail program breaks it
        f"{path}%22/{TOKEN}/",
        f"{path}/{TOKEN}/",
        f"{path}%3F{TOKEN}/",
        path.replace("/", "%2F") + TOKEN,
        f"/somewhere{path}{TOKEN}/",
        f"/account/login/?next={path}{TOKEN}/",
    ]
    for address in spelled:
        for method in ("get", "head", "post", "put"):
            getattr(client, method)(address)
            getattr(client, method)(address, headers={"host": "evil.example"})
    said = log.getvalue()
    assert "opensesame" not in said
    assert "1a2b3c" not in said
    assert f"{path}..." in said, "the log says nothing: the test proves nothing"


def test_nor_does_one_that_breaks(
    log: io.StringIO, db: None, monkeypatch: pytest.MonkeyPatch, alice: Account
) -> None:
    def broken(request: HttpRequest, token: str) -> None:
        raise RuntimeError(f"it broke at /applications/join/{token}/")

    monkeypatch.setattr(
        "access_requests.services.answered_behind", lambda token: broken(None, token)
    )  # type: ignore[arg-type]
    client = Client(headers={"accept": "text/html"}, raise_request_exception=False)
    link = mailed_links.url("vouch", 1, "nonce")
    token = link.rstrip("/").rpartition("/")[2]
    assert client.get(link.removeprefix(site_settings.BASE_URL)).status_code >= 500
    said = log.getvalue()
    assert "Traceback" in said
    assert "it broke at /applications/join/..." in said
    assert token not in said


@pytest.mark.parametrize("prefix", ["", "hf_"])
def test_no_request_leaves_its_bearer_token_in_the_log(
    log: io.StringIO, alice: Account, prefix: str
) -> None:
    _, text = ApiToken.make(alice, name="js", scopes=["read"])
    for token in (text, f"{text}x"):
        client = Client(headers={"authorization": f"Bearer {prefix}{token}"})
        for address in ("/api/whoami-v2", "/api/v1/plain/", "/v1/models", "/meta/nothing"):
            client.get(address)
    said = log.getvalue()
    assert "Not Found: /meta/nothing" in said, "the log says nothing: the test proves nothing"
    assert text not in said


def test_the_web_server_and_the_workers_write_through_the_same_handler(log: io.StringIO) -> None:
    line = '%s - "%s %s HTTP/%s" %d'
    access = logging.getLogger("uvicorn.access")
    access.setLevel(logging.INFO)
    access.info(
        line, "127.0.0.1:1", "GET", f"/download/{TOKEN}/x?y=%2Fdownload%2F{TOKEN}", "1.1", 403
    )
    for name in ("uvicorn.error", "celery.worker", "django.server", "django.request"):
        logging.getLogger(name).error("about /applications/join/%s/", TOKEN)
    lines = log.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0].endswith('"GET /download/... HTTP/1.1" 403')
    assert not [line for line in lines if "opensesame" in line]


def test_what_is_no_secret_stays_readable() -> None:
    for text in (
        "Not Found: /releases/llama-7b/download.sh",
        "Forbidden: /account/password/reset/",
        "GET /applications/12/edit/ HTTP/1.1",
    ):
        assert redact(text) == text
