"""What changes about an account leaves an event and a mail to its owner; tokens and guesses have their limits."""

from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from portal.accounts import services
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.mail.models import OutgoingMail
from tests.people import signed_in, with_token

PASSWORD, NEW = "a-password-for-tests", "another-long-passphrase-7"
CHANGE = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}


@pytest.fixture(autouse=True)
def _no_rate_limits(settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = False


def sign_in(client: Client, account: Account, password: str = PASSWORD, **more: str) -> int:
    """The status: 302 where it worked."""
    guess = {"login": account.email, "password": password}
    return client.post("/account/login/", guess, **more).status_code  # type: ignore[arg-type]


def browser(account: Account) -> Client:
    """Signed in with the password just now."""
    client = Client(headers={"accept": "text/html"})
    assert sign_in(client, account) == 302
    OutgoingMail.objects.all().delete()
    return client


def path_in(body: str, part: str) -> str:
    """The path of the link in a mail."""
    return urlsplit(next(word for word in body.split() if part in word)).path


def told(account: Account, verb: Verb, *, actor: Account | None = None) -> OutgoingMail:
    """The one event about the account, and the one mail to its owner."""
    event = Event.objects.get(verb=verb, subject_id=str(account.pk))
    assert event.actor == (actor or account)
    assert account.name not in str(event.data)
    assert "@" not in str(event.data)
    return OutgoingMail.objects.get(template="account_changed", account=account)


# ---- Events and mails ----------------------------------------------------------------------------


def test_a_changed_password(alice: Account) -> None:
    client = browser(alice)
    assert client.post("/account/password/change/", CHANGE).status_code == 302
    mail = told(alice, Verb.PASSWORD_CHANGED)
    assert mail.subject == "Your password was changed"
    assert "No token is left" in mail.body


def test_a_reset_password(alice: Account) -> None:
    services.create_token(alice, actor=alice, name="laptop <b>", scopes=["read"])
    client = Client(headers={"accept": "text/html"})
    client.post("/account/password/reset/", {"email": alice.email})
    link = OutgoingMail.objects.get(template="password_reset_key").body
    page = client.get(path_in(link, "/reset/key/"), follow=True)
    assert "Revoke my tokens too" in page.text
    assert "laptop &lt;b&gt;" in page.text
    assert "<b>" not in page.text
    done = client.post(page.request["PATH_INFO"], {"password1": NEW, "password2": NEW}, follow=True)
    assert "These tokens still work: laptop &lt;b&gt;" in done.text
    assert "laptop" in told(alice, Verb.PASSWORD_RESET).body


def test_the_addresses_of_an_account(alice: Account) -> None:
    client, new = browser(alice), "alice@home.test"
    client.post("/account/email/", {"action_add": "", "email": new})
    mail = told(alice, Verb.ADDRESS_ADDED)
    assert (mail.to, new in mail.body) == ("alice@lab.test", True)
    OutgoingMail.objects.filter(template="account_changed").delete()

    link = OutgoingMail.objects.get(template="email_confirmation").body
    client.post(path_in(link, "/confirm-email/"))
    told(alice, Verb.ADDRESS_CONFIRMED)
    OutgoingMail.objects.all().delete()

    client.post("/account/email/", {"action_primary": "", "email": new})
    to = set(OutgoingMail.objects.values_list("to", flat=True))
    assert to == {"alice@lab.test", new}, "the former address is told too"
    told(alice, Verb.ADDRESS_MADE_PRIMARY)
    OutgoingMail.objects.all().delete()

    client.post("/account/email/", {"action_remove": "", "email": "alice@lab.test"})
    assert set(OutgoingMail.objects.values_list("to", flat=True)) == {"alice@lab.test", new}
    told(alice, Verb.ADDRESS_REMOVED)


def test_an_address_that_a_superuser_changes(alice: Account, manager: Account) -> None:
    manager.is_superuser = True
    manager.save()
    address = EmailAddress.objects.get(user=alice)
    form = {"user": alice.pk, "email": "taken@over.test", "verified": "on", "primary": "on"}
    url = f"/admin/account/emailaddress/{address.pk}/change/"
    assert signed_in(manager).post(url, form).status_code == 302
    mail = told(alice, Verb.ADDRESS_CHANGED, actor=manager)
    assert mail.to == "alice@lab.test"
    assert "A manager of this site did this." in mail.body


def test_signing_up_is_no_change_of_an_account(db: None, client: Client) -> None:
    new = {"name": "Bob Lee", "email": "bob@lab.test", "password1": NEW, "password2": NEW}
    client.post("/account/signup/", new)
    link = OutgoingMail.objects.get().body
    client.post(path_in(link, "/confirm-email/"))
    assert EmailAddress.objects.get(email="bob@lab.test").verified
    assert not OutgoingMail.objects.filter(template="account_changed").exists()
    verbs = set(Event.objects.values_list("verb", flat=True))
    assert verbs >= {"account.signed_up", "account.address_confirmed"}


def test_ones_own_rename(alice: Account) -> None:
    form = {"name": "Alice Married", "category": "academia", "institution": "University of Testing"}
    form |= {"country": "NL", "position": "PhD student", "web_page": "", "orcid": ""}
    client = signed_in(alice)
    assert client.post("/account/", form).status_code == 302
    assert client.post("/account/", form).status_code == 302, "which changes nothing more"
    assert "is now Alice Married" in told(alice, Verb.ACCOUNT_RENAMED).body


def test_a_manager_who_renames_another_account(alice: Account, manager: Account) -> None:
    url = f"/admin/accounts/account/{alice.pk}/change/"
    form = {"name": "Someone Else", "is_active": "on"}
    form |= {f"affiliation-{key}": "0" for key in ("TOTAL_FORMS", "INITIAL_FORMS")}
    assert signed_in(manager).post(url, form).status_code == 302
    mail = told(alice, Verb.ACCOUNT_RENAMED, actor=manager)
    assert "A manager of this site did this." in mail.body


def test_a_new_browser_is_told_of_and_a_known_one_is_not(alice: Account, mallory: Account) -> None:
    first, second = Client(headers={"user-agent": "Firefox"}), Client()
    assert sign_in(first, alice) == 302
    assert not OutgoingMail.objects.exists(), "the first is the one that signed up"
    first.post("/account/logout/")
    assert sign_in(first, alice) == 302
    assert not OutgoingMail.objects.exists()
    assert sign_in(second, alice, headers={"user-agent": "Evil/1.0\r\nX: y"}) == 302
    mail = OutgoingMail.objects.get()
    assert (mail.to, "Evil/1.0 X: y" in mail.body) == (alice.email, True)
    assert Event.objects.filter(verb=Verb.NEW_DEVICE, actor=alice).count() == 2
    forged = Client()
    forged.cookies["device"] = first.cookies["device"].value[:-2]
    assert sign_in(forged, alice) == 302
    assert OutgoingMail.objects.count() == 2, "a cookie that we did not sign is none"


# ---- Tokens and guesses --------------------------------------------------------------------------


def test_a_changed_password_offers_to_revoke_the_tokens_and_names_those_left(
    alice: Account, mallory: Account
) -> None:
    mine, others = with_token(alice), with_token(mallory)
    client = browser(alice)
    assert "Revoke my tokens too" in client.get("/account/password/change/").text
    page = client.post("/account/password/change/", CHANGE, follow=True)
    assert page.request["PATH_INFO"] == "/account/tokens/"
    assert "These tokens still work: test (wb_" in page.text
    assert mine.get("/api/v1/applications/").status_code == 200
    again = {
        "oldpassword": NEW,
        "password1": PASSWORD,
        "password2": PASSWORD,
        "revoke_tokens": "on",
    }
    page = client.post("/account/password/change/", again, follow=True)
    assert "still work" not in page.text
    assert mine.get("/api/v1/applications/").status_code == 401
    assert others.get("/api/v1/applications/").status_code == 200
    assert Event.objects.filter(verb=Verb.TOKEN_REVOKED, actor=alice).count() == 1


def test_wrong_passwords_lock_the_network_of_who_guesses_and_not_the_owner(
    alice: Account, settings: Settings
) -> None:
    del settings.ACCOUNT_RATE_LIMITS
    cache.clear()
    evil, home = {"REMOTE_ADDR": "203.0.113.7"}, {"REMOTE_ADDR": "198.51.100.9"}
    for _ in range(6):
        assert sign_in(Client(), alice, "wrong", **evil) == 200
    page = Client().post("/account/login/", {"login": alice.email, "password": PASSWORD}, **evil)
    assert "Too many failed login attempts" in page.text
    assert sign_in(Client(), alice, **home) == 302
    alice.set_password(NEW)  # as a reset does
    alice.save()
    assert sign_in(Client(), alice, NEW, **evil) == 302, "a new password begins the count again"
    cache.clear()


def test_one_network_of_ipv6_is_one_guesser(alice: Account, settings: Settings) -> None:
    del settings.ACCOUNT_RATE_LIMITS
    cache.clear()
    for number in range(5):
        sign_in(Client(), alice, "wrong", REMOTE_ADDR=f"2001:db8::{number + 1}")
    assert sign_in(Client(), alice, REMOTE_ADDR="2001:db8::77") == 200
    assert sign_in(Client(), alice, REMOTE_ADDR="2001:db8:0:1::77") == 302
    cache.clear()
