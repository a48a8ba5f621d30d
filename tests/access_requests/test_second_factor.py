"""Outside the demo a role counts only with a second factor: at every door."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.cache import cache
from django.test import Client

from access_requests.models import Application
from access_requests.selectors import colleagues
from portal.accounts.models import Account, Scope
from portal.accounts.roles import Role, has_role, is_reviewer
from portal.audit.models import Event, Verb
from tests.passkeys import give_passkey
from tests.people import person, signed_in, with_token

PASSWORD = "a-password-for-tests"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
SET_UP = "/account/2fa/"


@pytest.fixture(autouse=True)
def required(settings: Any) -> None:
    settings.REQUIRE_MFA = True
    cache.clear()


@pytest.fixture(params=list(Role))
def staff(request: pytest.FixtureRequest, db: None) -> Account:
    """A person of each role, without a second factor."""
    return person("rita", request.param)


def code_of(secret: str) -> str:
    """What an app shows now."""
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


def sign_in(account: Account, *, to: str = "") -> tuple[Client, Any]:
    client = Client(headers={"accept": "text/html"})
    given = {"login": account.email, "password": PASSWORD, "next": to}
    return client, client.post("/account/login/", given)


@pytest.mark.parametrize(
    "address",
    [
        "/admin/",
        "/admin/state/",
        "/admin/access_requests/application/",
        "/admin/access_requests/application/fairness/",
        "/admin/access_requests/decisionpolicy/",
        "/admin/accounts/account/",
        "/admin/audit/event/",
        "/admin/mail/outgoingmail/",
        "/admin/mfa/authenticator/",
    ],
)
def test_no_page_of_the_admin_opens_before_it_is_set_up(staff: Account, address: str) -> None:
    answer = signed_in(staff).get(address)
    assert (answer.status_code, answer["Location"]) == (302, SET_UP)


def test_nor_to_a_superuser(db: None) -> None:
    root = Account.objects.create_superuser("root@lab.test", PASSWORD, name="Root")
    assert signed_in(root).get("/admin/mfa/authenticator/")["Location"] == SET_UP
    assert not is_reviewer(root)
    TOTP.activate(root, SECRET)
    assert is_reviewer(Account.objects.get(pk=root.pk))
    assert signed_in(root).get("/admin/mfa/authenticator/").status_code == 200


def test_no_act_of_a_form_of_the_admin_happens(staff: Account, submitted: Application) -> None:
    path = f"/admin/access_requests/application/{submitted.pk}/act/claim/"
    assert signed_in(staff).post(path)["Location"] == SET_UP
    submitted.refresh_from_db()
    assert submitted.claimed_by is None


def test_another_persons_application_leads_to_the_set_up(
    rita: Account, submitted: Application
) -> None:
    answer = signed_in(rita).get(f"/applications/{submitted.pk}/")
    assert (answer.status_code, answer["Location"]) == (302, SET_UP)


@pytest.mark.parametrize(
    "act", ["claim", "release", "return", "approve", "refuse", "notes", "recuse"]
)
def test_no_token_reviews(staff: Account, submitted: Application, act: str) -> None:
    body = {"message": "m", "reason": "r", "text": "t"}
    answer = with_token(staff, Scope.REVIEW).post(
        f"/api/v1/applications/{submitted.pk}/{act}/", body, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")
    assert answer["Content-Type"].startswith("application/problem+json")
    assert answer.json()["url"] == SET_UP


@pytest.mark.parametrize("path", ["applications/?queue=1", "grants/?all=1", "events/"])
def test_no_token_reads_the_lists_of_the_desk(staff: Account, path: str) -> None:
    answer = with_token(staff).get(f"/api/v1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")


def test_who_has_no_role_is_asked_for_nothing(mallory: Account) -> None:
    client, answer = sign_in(mallory)
    assert answer["Location"] == "/"
    answer = with_token(mallory).get("/api/v1/applications/?queue=1")
    assert answer.json()["code"] == "not_allowed"
    assert client.get("/applications/").status_code == 200


def test_signing_in_leads_to_the_set_up_and_says_why(rita: Account) -> None:
    client, answer = sign_in(rita)
    assert answer["Location"] == SET_UP
    assert "Your role needs a second factor" in client.get(SET_UP).text


def test_one_s_own_pages_stay_open(rita: Account) -> None:
    client = signed_in(rita)
    for address in ("/", "/releases/", "/applications/", "/account/", "/account/tokens/"):
        assert client.get(address).status_code == 200, address


def test_the_role_is_there_once_a_code_was_typed_and_the_code_is_asked_from_then_on(
    rita: Account,
) -> None:
    client, _ = sign_in(rita)
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    page = client.get("/account/2fa/totp/activate/").text
    secret = re.search(r"<code>([A-Z2-7]{16,})</code>", page)
    assert secret
    assert client.post("/account/2fa/totp/activate/", {"code": "000000"}).status_code == 200
    assert not is_reviewer(rita)
    done = client.post("/account/2fa/totp/activate/", {"code": code_of(secret[1])})
    assert done["Location"] == "/account/2fa/recovery-codes/"
    rita = Account.objects.get(pk=rita.pk)  # what a person holds is read once for each request
    assert is_reviewer(rita)
    assert Event.objects.filter(verb=Verb.SECOND_FACTOR_ADDED, subject_id=str(rita.pk)).exists()
    assert "10 of 10 left" in client.get("/account/2fa/recovery-codes/").text
    assert "Your role is open to you" in client.get(SET_UP).text
    assert client.get("/admin/access_requests/application/").status_code == 200

    cache.clear()  # a code counts once
    again, asked = sign_in(rita, to="/admin/")
    assert asked["Location"].startswith("/account/2fa/authenticate/")
    assert "_auth_user_id" not in again.session, "the password alone signs nobody in"
    assert again.post("/account/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert "_auth_user_id" not in again.session
    entered = again.post("/account/2fa/authenticate/", {"code": code_of(secret[1])})
    assert entered["Location"] == "/admin/"
    assert "_auth_user_id" in again.session


def test_a_recovery_code_lets_in_once(rita: Account) -> None:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    TOTP.activate(rita, SECRET)
    code = RecoveryCodes.activate(rita).get_unused_codes()[0]
    for expected in (True, False):
        client, _ = sign_in(rita)
        client.post("/account/2fa/authenticate/", {"code": code})
        assert ("_auth_user_id" in client.session) is expected


def test_a_copy_of_the_database_gives_no_codes(rita: Account) -> None:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    TOTP.activate(rita, SECRET)
    RecoveryCodes.activate(rita)
    stored = {one.type: one.data for one in Authenticator.objects.filter(user=rita)}
    assert SECRET not in str(stored)
    # What lies there is no key of an app, and no seed of codes, but what only the site's key opens.
    assert stored["totp"]["secret"].startswith("gAAAA")
    assert stored["recovery_codes"]["seed"].startswith("gAAAA")


def test_a_second_factor_outlives_a_new_key_with_a_fallback(rita: Account, settings: Any) -> None:
    TOTP.activate(rita, SECRET)
    former = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = (
        "another key of more than 32 signs",
        [former],
    )
    client, _ = sign_in(rita)
    client.post("/account/2fa/authenticate/", {"code": code_of(SECRET)})
    assert "_auth_user_id" in client.session


@pytest.mark.parametrize("secret", [SECRET, ""])
def test_without_the_fallback_no_code_lets_in_and_the_page_says_why(
    rita: Account, settings: Any, secret: str
) -> None:
    TOTP.activate(rita, SECRET)
    settings.SECRET_KEY = "another key of more than 32 signs"
    client, _ = sign_in(rita)
    answer = client.post("/account/2fa/authenticate/", {"code": code_of(secret)})
    assert answer.status_code == 503
    assert "cannot read your second factor" in answer.text
    assert "_auth_user_id" not in client.session


def test_recovery_codes_alone_are_no_second_factor(rita: Account) -> None:
    Authenticator.objects.create(user=rita, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert not is_reviewer(rita)


def test_turning_it_off_rests_the_role_at_once(rita: Account) -> None:
    TOTP.activate(rita, SECRET)
    client, _ = sign_in(rita)
    client.post("/account/2fa/authenticate/", {"code": code_of(SECRET)})
    assert client.get("/admin/access_requests/application/").status_code == 200
    Authenticator.objects.filter(user=rita).delete()
    assert client.get("/admin/access_requests/application/")["Location"] == SET_UP
    assert not has_role(rita, Role.REVIEWER)


def test_nobody_is_given_work_who_cannot_do_it(rita: Account, second_reviewer: Account) -> None:
    TOTP.activate(second_reviewer, SECRET)
    assert list(colleagues()) == [second_reviewer]


def test_the_demo_works_without(settings: Any, rita: Account) -> None:
    settings.REQUIRE_MFA = False
    assert is_reviewer(rita)
    _, answer = sign_in(rita)
    assert answer["Location"] == "/"


@pytest.mark.parametrize("act", ["edit", "remove"])
def test_nobody_touches_another_persons_passkey(rita: Account, mallory: Account, act: str) -> None:
    key = give_passkey(rita, "Rita's laptop")
    for account, expected in ((mallory, 404), (rita, 200)):
        client, _ = sign_in(mallory) if account == mallory else (signed_in(rita), None)
        client.post("/account/reauthenticate/", {"password": PASSWORD})
        if account == rita:  # who has a factor is asked for it; her session says that she gave it
            session = client.session
            session["account_authentication_methods"] = [
                {"method": "mfa", "at": time.time(), "reauthenticated": True}
            ]
            session["account_authentication_methods_user"] = str(rita.pk)
            session.save()
        answer = client.get(f"/account/2fa/webauthn/keys/{key.pk}/{act}/")
        assert answer.status_code == expected
        if account == mallory:
            answer = client.post(f"/account/2fa/webauthn/keys/{key.pk}/{act}/", {"name": "mine"})
            assert answer.status_code == 404
            assert "Rita's laptop" not in answer.text
    key.refresh_from_db()
    assert key.data["name"] == "Rita's laptop"
