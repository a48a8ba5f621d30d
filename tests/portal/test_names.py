"""A name is one line of letters, wherever it was typed."""

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from pytest_django import Settings

from portal.accounts.forms import NameForm, SignupForm
from portal.accounts.models import Account, Affiliation
from portal.names import clean_name, same_name
from tests.people import signed_in

BROKEN = "Alice\r\nBcc: x\u2028\u202e \x00Ex\u200bample\t"


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        (BROKEN, "Alice Bcc: x Example"),
        ("Zoe\u0308  Lee", "Zoë Lee"),
        ("\u2066Ann\u2069", "Ann"),
        ("علی\u200cرضا", "علی\u200cرضا"),  # spelt so
        ("O’Neil-Smith", "O’Neil-Smith"),  # as its person writes it
        ("\u202e\u200b", ""),
    ],
)
def test_a_name_is_cleaned(typed: str, clean: str) -> None:
    assert clean_name(typed) == clean
    assert clean_name(clean) == clean


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Sean O'Neil", "Sean O’Neil"),
        ("sean oʼneil", "Sean O'Neil"),
        ("Anne-Marie Roux", "Anne\u2011Marie Roux"),
        ("Anne–Marie Roux", "Anne-Marie Roux"),
        ("Zoe\u0308 Lee", "Zoë  Lee"),
        ("علیرضا", "علی\u200cرضا"),
    ],
)
def test_a_signature_is_the_name_however_the_keyboard_writes_it(typed: str, name: str) -> None:
    assert same_name(typed, name)
    assert same_name(name, typed)


def test_another_name_is_another_name() -> None:
    assert not same_name("Sean Neil", "Sean O'Neil")
    assert not same_name("", "\u202e")
    assert not same_name("AnneMarie Roux", "Anne-Marie Roux")


def test_every_way_into_the_database_cleans(alice: Account) -> None:
    alice.name = BROKEN
    alice.save()
    assert alice.name == "Alice Bcc: x Example"
    Account.objects.filter(pk=alice.pk).update(name=BROKEN)
    alice.refresh_from_db()
    assert alice.name == "Alice Bcc: x Example"
    Affiliation.objects.filter(account=alice).update(institution=BROKEN)
    assert Affiliation.objects.get(account=alice).institution == "Alice Bcc: x Example"


def test_the_forms_refuse_a_name_of_nothing_and_one_with_an_address(alice: Account) -> None:
    for name in (
        "\u202e\u200b",
        "Win at https://evil.test",
        "Call me@evil.test",
        "see WWW.evil.test",
    ):
        assert not SignupForm({"name": name}).is_valid(), name
        assert not NameForm({"name": name}, instance=alice).is_valid(), name
    assert SignupForm({"name": BROKEN}).is_valid()


def test_a_manager_cannot_give_an_account_such_a_name_either(
    alice: Account, manager: Account
) -> None:
    client = signed_in(manager)
    url = f"/admin/accounts/account/{alice.pk}/change/"
    form = {"name": "Win at https://evil.test", "is_active": "on"}
    assert client.post(url, form).status_code == 200
    alice.refresh_from_db()
    assert alice.name == "Alice Example"
    with pytest.raises(ValidationError):
        Account(name="x@y.test", email="a@b.test", password="x").full_clean()


def test_a_signed_up_name_has_one_line(db: None, client: Client, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    new = {"name": BROKEN, "email": "bob@lab.test"}
    new |= {"password1": "a-long-passphrase-7", "password2": "a-long-passphrase-7"}
    client.post("/account/signup/", new)
    assert Account.objects.get(email="bob@lab.test").name == "Alice Bcc: x Example"
