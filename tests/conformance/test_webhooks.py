"""On a running site, Beat seals an event and a worker posts it, signed, to a program of another."""

import importlib.util
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.live import PASSWORD, Site
from tests.portal.webhooks.receiver import running, status

HANDBOOK = Path(__file__).resolve().parents[2] / "docs" / "managers" / "verify_webhook.py"


def of_the_handbook() -> Callable[..., bool]:
    spec = importlib.util.spec_from_file_location("verify_webhook", HANDBOOK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.verify


def made_by_the_manager(site: Site, url: str) -> str:
    """On the admin's page, as a person does it; returns the secret that it shows."""

    def send(browser: httpx.Client, address: str, **fields: str) -> str:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(address).text)
        assert token
        sent = browser.post(
            address,
            data={**fields, "csrfmiddlewaretoken": token[1]},
            headers={"Referer": f"{site.url}{address}"},
        )
        assert sent.status_code == 200, sent.text
        return sent.text

    with httpx.Client(base_url=site.url, follow_redirects=True, timeout=60) as browser:
        send(browser, "/account/login/", login="manager@demo.test", password=PASSWORD)
        html = send(
            browser,
            "/admin/webhooks/subscription/add/",
            name="Live",
            url=url,
            verbs="token.created",
        )
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", html)
    assert secret, html
    return secret[0]


def scopes(messages: list[dict[str, Any]]) -> list[list[str]]:
    return [message["data"]["data"]["scopes"] for message in messages[1:]]


def test_what_happens_on_the_site_reaches_the_receiver_in_order(site: Site) -> None:
    verify = of_the_handbook()
    with running() as receiver:
        # The first attempt fails, so that the back-off of the running site is seen too.
        receiver.answer = lambda request, before: status(204 if before else 503)(request, before)
        secret = made_by_the_manager(site, receiver.url)
        wanted = [["read"], ["apply"], ["sandbox"]]
        for scope in wanted:
            site.token("newcomer@demo.test", *scope)
        deadline = time.monotonic() + 120
        while scopes(receiver.messages)[-3:] != wanted and time.monotonic() < deadline:
            time.sleep(0.2)
        # Tokens that other tests made a moment before may come first: the next seal has them too.
        assert scopes(receiver.messages)[-3:] == wanted
        assert receiver.sequences == [1, *range(1, len(receiver.seen))]
        for headers, body in receiver.seen[1:]:
            assert verify(secret, headers, body)
            assert not verify("whsec_" + "A" * 44, headers, body)
