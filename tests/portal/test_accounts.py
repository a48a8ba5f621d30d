"""Signing up, saying who one is, and tokens for programs."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from portal.accounts import services
from portal.accounts.models import Account, Affiliation, ApiToken, Scope
from portal.accounts.roles import Role
from portal.audit.models import Event, Verb
from portal.mail.models import OutgoingMail
from portal.refusals import Refusal
from tests.people import person, signed_in, with_token

AFFILIATION = {
    "name": "Alice Example",
    "category": "academia",
    "institution": "University of Testing",
    "country": "NL",
    "position": "PhD student",
    "web_page": "",
    "orcid": "0000-0002-1825-0097",
}


def sign_up(client: Client, **changes: str) -> None:
    form = {
        "name": "Alice Example",
        "email": "alice@lab.test",
        "password1": "a-long-passphrase-7",
        "password2": "a-long-passphrase-7",
    }
    client.post("/account/signup/", {**form, **changes})


@pytest.mark.django_db
def test_a_stranger_signs_up_and_must_confirm_the_address_by_mail(client: Client) -> None:
    sign_up(client)
    account = Account.objects.get(email="alice@lab.test")
    assert account.name == "Alice Example"
    assert not account.emailaddress_set.get().verified
    assert Event.objects.filter(verb=Verb.ACCOUNT_SIGNED_UP, actor=account).count() == 1

    mail = OutgoingMail.objects.get(to="alice@lab.test")
    link = re.search(r"http://testserver(/account/confirm-email/\S+)", mail.body)
    assert link, mail.body
    assert client.get(link[1]).status_code == 200
    assert not account.emailaddress_set.get().verified, (
        "a link that a mail scanner opens confirms nothing"
    )
    client.post(link[1])
    assert account.emailaddress_set.get().verified


@pytest.mark.django_db
def test_an_unconfirmed_address_cannot_sign_in(client: Client) -> None:
    sign_up(client)
    client.logout()
    client.post("/account/login/", {"login": "alice@lab.test", "password": "a-long-passphrase-7"})
    assert "_auth_user_id" not in client.session


def test_signing_up_with_a_known_address_tells_nobody_that_it_is_known(
    alice: Account, client: Client
) -> None:
    sign_up(client)
    assert Account.objects.filter(email="alice@lab.test").count() == 1
    assert client.get("/account/confirm-email/").status_code == 200
    assert Account.objects.get(email="alice@lab.test").check_password("a-password-for-tests")


def test_the_affiliation_is_filled_in_once_and_leads_back(mallory: Account) -> None:
    page = signed_in(mallory).post(
        "/account/?next=/releases/", {**AFFILIATION, "next": "/releases/"}
    )
    assert page.headers["location"] == "/releases/"
    assert Affiliation.objects.get(account=mallory).institution == "University of Testing"


def test_the_way_back_never_leaves_the_site(mallory: Account) -> None:
    page = signed_in(mallory).post("/account/", {**AFFILIATION, "next": "https://evil.example/"})
    assert page.headers["location"] == "/account/"


@pytest.mark.parametrize(
    "orcid", ["0000-0002-1825-0098", "1234", "0000-0002-1825-009x", "https://orcid.org/"]
)
def test_an_orcid_with_a_wrong_checksum_is_refused_and_nothing_is_lost(
    mallory: Account, orcid: str
) -> None:
    page = signed_in(mallory).post("/account/", {**AFFILIATION, "orcid": orcid})
    assert page.status_code == 200
    assert "not a valid ORCID iD" in page.text
    assert "University of Testing" in page.text, "what was typed is still there"
    assert not Affiliation.objects.filter(account=mallory).exists()


@pytest.mark.parametrize(
    "typed",
    [
        "https://orcid.org/0000-0002-9079-593X",
        "http://www.orcid.org/0000-0002-9079-593x/",
        "orcid.org/0000-0002-9079-593X",
        "0000-0002-9079-593x",
        " 000000029079593X ",
        "0000 0002 9079 593X",
        "0000\u20130002\u20139079\u2013593X",
        "0000\u20110002\u20119079\u2011593X",
    ],
)
def test_an_orcid_is_taken_as_people_copy_it(mallory: Account, typed: str) -> None:
    signed_in(mallory).post("/account/", {**AFFILIATION, "orcid": typed})
    assert Affiliation.objects.get(account=mallory).orcid == "0000-0002-9079-593X"


@pytest.mark.parametrize(
    "page", ["ftp://lab.test/", "javascript:alert(1)", "https://lab.test@evil.test/", "nowhere"]
)
def test_a_web_page_is_http_and_hides_nobody(mallory: Account, page: str) -> None:
    answer = signed_in(mallory).post("/account/", {**AFFILIATION, "web_page": page})
    assert "Not saved" in answer.text
    assert page in answer.text
    assert not Affiliation.objects.filter(account=mallory).exists()
    signed_in(mallory).post("/account/", {**AFFILIATION, "web_page": "https://lab.test/~m"})
    assert Affiliation.objects.get(account=mallory).web_page == "https://lab.test/~m"


@pytest.mark.parametrize("orcid", ["0000-0002-1825-0097", "0000-0002-9079-593X", ""])
def test_a_true_orcid_or_none_is_taken(mallory: Account, orcid: str) -> None:
    signed_in(mallory).post("/account/", {**AFFILIATION, "orcid": orcid})
    assert Affiliation.objects.get(account=mallory).orcid == orcid


def test_a_token_is_shown_once_and_kept_as_a_hash(alice: Account) -> None:
    browser = signed_in(alice)
    page = browser.post("/account/tokens/", {"name": "laptop", "scopes": ["read"]})
    text = re.search(r"wb_[\w-]{20,}", page.text)
    assert text
    token = ApiToken.objects.get()
    assert token.sha256 == ApiToken.digest(text[0])
    assert text[0] not in browser.get("/account/tokens/").text


def test_a_revoked_token_opens_nothing(alice: Account, mallory: Account) -> None:
    program = with_token(alice, Scope.READ)
    token = ApiToken.objects.get()
    assert program.get("/api/v1/grants/").status_code == 200
    assert signed_in(mallory).post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    assert program.get("/api/v1/grants/").status_code == 200
    signed_in(alice).post(f"/account/tokens/{token.pk}/revoke/")
    answer = program.get("/api/v1/grants/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")


def test_an_expired_token_says_when_it_expired(alice: Account) -> None:
    program = with_token(alice, Scope.READ)
    ApiToken.objects.update(expires_at=timezone.now())
    answer = program.get("/api/v1/grants/")
    assert answer.status_code == 401
    assert "expired on" in answer.json()["detail"]


def test_a_token_without_the_scope_is_told_which_one_it_lacks(alice: Account) -> None:
    answer = with_token(alice, Scope.DOWNLOAD).get("/api/v1/grants/")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert "`read`" in answer.json()["detail"]


def test_the_command_prints_a_token_and_nothing_else(
    alice: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_token", "alice@lab.test", scope=["read"])
    text = capsys.readouterr().out
    assert re.fullmatch(r"wb_[\w-]+\n", text)
    assert ApiToken.objects.get(sha256=ApiToken.digest(text.strip())).scopes == ["read"]


@pytest.mark.django_db
def test_the_command_refuses_an_unknown_person_or_scope(alice: Account) -> None:
    with pytest.raises(CommandError, match="no account"):
        call_command("create_token", "nobody@lab.test")
    with pytest.raises(CommandError, match="no scope"):
        call_command("create_token", "alice@lab.test", scope=["everything"])
    assert not ApiToken.objects.exists()


# ---- The last manager ----------------------------------------------------------------------------


def _loses_the_role(account: Account, actor: Account) -> None:
    with transaction.atomic():
        services.check_roles(account, actor=actor, wanted=set(), is_active=True)


def test_a_manager_without_a_second_factor_is_nobody_who_is_left(
    settings: Any, manager: Account
) -> None:
    """They hold the name of the role and cannot act: nobody would be left to give roles."""
    settings.REQUIRE_MFA = True
    other = person("marc", Role.MANAGER)
    Authenticator.objects.create(user=manager, type="totp", data={})
    with pytest.raises(Refusal, match="last manager"):
        _loses_the_role(manager, other)
    Authenticator.objects.create(user=other, type="totp", data={})
    _loses_the_role(manager, other)


def test_a_manager_who_never_could_act_can_lose_the_role(settings: Any, manager: Account) -> None:
    settings.REQUIRE_MFA = True
    other = person("marc", Role.MANAGER)
    Authenticator.objects.create(user=manager, type="totp", data={})
    _loses_the_role(other, manager)
