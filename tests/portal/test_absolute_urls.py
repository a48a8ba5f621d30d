"""Every absolute address that the site writes is under its own, whatever the Host header says."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from access_requests import services
from portal.absolute_urls import absolute_url
from portal.accounts import services as accounts
from portal.accounts.models import Account, Affiliation
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from tests.access_requests.people import ANSWERS
from tests.people import person, signed_in, with_token

ROOT = Path(__file__).resolve().parents[2]
EVIL = "localhost:9999"


@pytest.fixture(autouse=True)
def base_url(settings: Any) -> None:
    settings.BASE_URL = "https://portal.example"
    settings.ALLOWED_HOSTS = ["portal.example", "localhost"]
    cache.clear()  # limits on mails


def addresses(text: str) -> list[str]:
    return [one.rstrip(".,") for one in re.findall(r"https?://[^\s>\"]+", text)]


def test_no_mail_follows_the_host_header(alice: Account, mallory: Account) -> None:
    mallory.emailaddress_set.update(verified=False)  # type: ignore[attr-defined]
    client = Client(headers={"host": EVIL, "accept": "text/html"})
    password = {"password1": "a-long-enough-pass", "password2": "a-long-enough-pass"}
    for email in ("new@lab.test", alice.email):
        client.post("/account/signup/", {"email": email, "name": "New", **password})
        Client(headers={"host": EVIL}).post("/account/password/reset/", {"email": email})
    Client(headers={"host": EVIL}).post("/account/password/reset/", {"email": "nobody@lab.test"})
    given = {"login": mallory.email, "password": "a-password-for-tests"}
    Client(headers={"host": EVIL}).post("/account/login/", given)
    signed = signed_in(alice)
    added = {"action_add": "", "email": "second@lab.test"}
    signed.post("/account/email/", added, headers={"host": EVIL})
    mails = list(OutgoingMail.objects.all())
    assert {mail.template for mail in mails} >= {
        "email_confirmation_signup",
        "account_already_exists",
        "password_reset_key",
        "unknown_account",
        "email_confirmation",
    }
    found = [one for mail in mails for one in addresses(mail.body)]
    assert len(found) >= len(mails)
    assert {one[:22] for one in found} == {"https://portal.example"}
    assert not any("9999" in mail.body or "9999" in mail.subject for mail in mails)


def test_a_link_out_of_such_a_mail_still_works(alice: Account) -> None:
    Client(headers={"host": EVIL}).post("/account/password/reset/", {"email": alice.email})
    body = OutgoingMail.objects.get(template="password_reset_key").body
    (link,) = [one for one in addresses(body) if "/reset/key/" in one]
    client = Client(headers={"host": "portal.example", "accept": "text/html"})
    answer = client.get(link.removeprefix("https://portal.example"), follow=True, secure=True)
    assert 'name="password1"' in answer.content.decode()


def test_no_list_of_the_api_leads_elsewhere(
    alice: Account, rita: Account, manager: Account
) -> None:
    for number in range(51):
        accounts.create_token(alice, actor=alice, name=f"t{number}", scopes=["read"])
    client = with_token(manager)
    answer = client.get("/api/v1/events/?since=2020-01-01", headers={"host": EVIL})
    link = answer.json()["next"]
    assert link.startswith("https://portal.example/api/v1/events/?")
    assert "since=2020-01-01" in link
    following = client.get(link.removeprefix("https://portal.example"), headers={"host": EVIL})
    assert following.json()["previous"].startswith("https://portal.example/api/v1/events/?")


def test_nor_does_one_of_the_hub(release: Release, rita: Account) -> None:
    for name in ("a", "b", "c"):
        account = person(name)
        Affiliation.objects.create(account=account, institution="L", country="NL", position="P")
        made = services.start(actor=account, releases=[release], answers=ANSWERS)
        services.submit(made.pk, actor=account, typed_name=account.name)
    address = f"/api/models/{release.repo_id}/user-access-request/pending?limit=1"
    answer = with_token(rita).get(address, headers={"host": EVIL})
    assert answer["Link"].startswith("<https://portal.example/api/models/")
    assert "cursor=" in answer["Link"]


def test_nothing_else_of_ours_asks_a_request_for_its_host() -> None:
    """What is left compares hosts, and writes none into an address."""
    users = {
        str(file.relative_to(ROOT))
        for folder in ("portal", "access_requests", "distribution", "inference_sandbox")
        for file in (ROOT / folder).rglob("*.py")
        if re.search(r"build_absolute_uri|get_host\(|HTTP_HOST|get_current_site", file.read_text())
    }
    assert users == {"distribution/hub/views.py", "portal/accounts/views.py", "portal/straight.py"}


def test_an_absolute_address_keeps_path_and_query() -> None:
    assert absolute_url("/a/?b=1") == "https://portal.example/a/?b=1"
    assert (
        absolute_url("http://localhost:9999/a/?b=1&c=%2F") == "https://portal.example/a/?b=1&c=%2F"
    )
