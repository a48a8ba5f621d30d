"""One mailbox, one account: addresses are stored and compared in one form."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client

from portal.accounts.addresses import account_at, clean_address, digest, normalise_address
from portal.accounts.models import Account
from portal.mail.models import OutgoingMail
from tests.people import person, signed_in

TYPED, STORED = "User@Bücher.example", "user@xn--bcher-kva.example"
SPELLINGS = (
    TYPED,
    STORED,
    "user@XN--BCHER-KVA.example",
    "user@bücher.example",
    "user@bu\u0308cher.example",  # decomposed
    "user@bücher。example",  # an ideographic full stop
    "user@bücher.example.",
    " user@ｂücher.example ",  # full-width
    "u\u017fer@bücher.example",  # a long s, which a pattern for letters takes for an s
    "user@bü\u00adcher.example",  # a soft hyphen
    "ｕｓｅｒ＠bücher.example",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_mailbox_has_one_form(spelling: str) -> None:
    assert normalise_address(spelling) == clean_address(spelling) == STORED
    assert digest(spelling) == digest(STORED)


@pytest.mark.parametrize(
    "other", ["user@buecher.example", "u.ser@bücher.example", "user+x@bücher.example"]
)
def test_other_mailboxes_stay_others(other: str) -> None:
    assert normalise_address(other) != STORED


@pytest.mark.parametrize(
    "text", ["", "user", "user@", '"user"@lab.test', "user@[127.0.0.1]", "usér@lab.test", "a@b c"]
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        clean_address(text)


@pytest.fixture
def user(db: None) -> Account:
    account = person("user")
    account.email = TYPED
    account.save()
    account.emailaddress_set.update(email=STORED)  # type: ignore[attr-defined]
    return account


def test_an_account_is_stored_and_found_in_the_one_form(user: Account) -> None:
    user.refresh_from_db()
    assert user.email == STORED
    for spelling in SPELLINGS:
        assert account_at(spelling) == user
        assert Account.objects.get(email=spelling) == user
    assert account_at("user@lab.test") is None


def test_a_second_account_for_the_mailbox_is_refused_by_the_database(user: Account) -> None:
    for spelling in SPELLINGS:
        with pytest.raises(IntegrityError), transaction.atomic():
            Account.objects.create_user(spelling, name="Second")
    with pytest.raises(IntegrityError), transaction.atomic():
        Account.objects.bulk_create([Account(email=TYPED, name="Second")])


def test_signing_up_with_another_spelling_makes_no_second_account(
    client: Client, user: Account
) -> None:
    given = {
        "name": "Second Person",
        "email": TYPED,
        "password1": "correct-horse-battery",
        "password2": "correct-horse-battery",
    }
    client.post("/account/signup/", given)
    assert Account.objects.count() == 1
    fresh = {**given, "email": "New@Bücher.example"}
    client.post("/account/signup/", fresh)
    made = Account.objects.get(name="Second Person")
    assert made.email == "new@xn--bcher-kva.example"
    assert made.emailaddress_set.get().email == made.email  # type: ignore[attr-defined]
    assert OutgoingMail.objects.filter(to=made.email).exists()


def test_another_spelling_signs_in_and_asks_for_a_new_password(
    client: Client, user: Account
) -> None:
    client.post("/account/password/reset/", {"email": TYPED})
    assert OutgoingMail.objects.filter(to=STORED, account=user).exists()
    answer = client.post("/account/login/", {"login": TYPED, "password": "a-password-for-tests"})
    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(user.pk)


def test_a_second_address_in_another_spelling_is_the_first(user: Account) -> None:
    signed_in(user).post("/account/email/", {"email": TYPED, "action_add": ""})
    assert [one.email for one in user.emailaddress_set.all()] == [STORED]  # type: ignore[attr-defined]
    signed_in(user).post("/account/email/", {"email": "Work@Bücher.example", "action_add": ""})
    stored = user.emailaddress_set.values_list("email", flat=True)  # type: ignore[attr-defined]
    assert set(stored) == {STORED, "work@xn--bcher-kva.example"}


def test_an_address_of_a_provider_is_stored_in_the_one_form(user: Account) -> None:
    user.emailaddress_set.create(email="Work@Bücher.example", verified=True)  # type: ignore[attr-defined]
    assert user.emailaddress_set.filter(email="work@xn--bcher-kva.example").exists()  # type: ignore[attr-defined]


def test_people_are_found_by_any_spelling(user: Account, manager: Account) -> None:
    found = signed_in(manager).get("/admin/accounts/account/", {"q": TYPED})
    assert f"/admin/accounts/account/{user.pk}/change/" in found.text
    call_command("create_token", TYPED)
    assert user.tokens.exists()
