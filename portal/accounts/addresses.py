"""A person's addresses in the one form in which they are stored and compared, and the keyed hash that outlives one."""

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import idna
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac

if TYPE_CHECKING:
    from portal.accounts.models import Account

SALT = "weighbridge.address"
NOT_AN_ADDRESS = "This is not an e-mail address."
INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


def normalise_address(text: str) -> str:
    """The one form of an address: NFKC, lower case, its domain in IDNA's ASCII form.

    Two spellings that reach one mailbox are equal in it. Dots and `+tags` stay, for what they mean is up to each mail
    server. What is no address comes back as well as it can be, to be refused by `clean_address`.
    """
    folded = unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).strip().lower()
    local, at, domain = folded.rpartition("@")
    return f"{local}{at}{normalise_domain(domain)}" if at else folded


def normalise_domain(text: str) -> str:
    """A host name in IDNA's ASCII form: `Bücher.example.` is `xn--bcher-kva.example`."""
    folded = unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).strip().lower().rstrip(".")
    if folded.isascii():
        return folded
    try:
        return idna.encode(folded, uts46=True).decode().lower()
    except idna.IDNAError:
        pass
    try:  # IDNA of 2003 had names that today's leaves out, and mail to them still arrives
        return folded.encode("idna").decode().lower()
    except UnicodeError:
        return folded


def with_addresses_normalised(search: str) -> str:
    """What was typed into a search, with each address in it in the form in which it is stored."""
    if "@" not in search:
        return search
    return " ".join(normalise_address(word) if "@" in word else word for word in search.split())


def clean_address(text: str) -> str:
    """The one form of what was typed. Raises ValidationError where that is no address.

    Quoted names and address literals are refused: each is a second spelling of a mailbox that has a plain one.
    """
    address = normalise_address(text)
    try:
        validate_email(address)
    except ValidationError:
        raise ValidationError(NOT_AN_ADDRESS) from None
    if not address.isascii() or address.endswith("]") or '"' in address:
        raise ValidationError(NOT_AN_ADDRESS)
    return address


class AddressField(models.EmailField):
    """Stored in the one form of an address, and looked up in it whatever is typed."""

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return normalise_address(prepared) if isinstance(prepared, str) else prepared

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.get_prep_value(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


def normalise_before_save(instance: Any, **_: Any) -> None:
    """For allauth's addresses, whichever form or provider they come from."""
    instance.email = normalise_address(instance.email)


def account_at(text: str) -> "Account | None":
    """The account that signs in with the address, or else the one that has confirmed it."""
    if "\0" in text:  # which PostgreSQL takes in no text
        return None
    address = normalise_address(text)
    accounts = get_user_model().objects
    confirmed = Q(emailaddress__email=address, emailaddress__verified=True)
    found: Account | None = (
        accounts.filter(email=address).first() or accounts.filter(confirmed).first()
    )
    return found


def addresses_of(*accounts: "Account") -> set[str]:
    """Every address of these people, confirmed or not."""
    found = {normalise_address(account.email) for account in accounts}
    for account in accounts:
        others = account.emailaddress_set.all()  # type: ignore[attr-defined]
        found |= {normalise_address(other.email) for other in others}
    return found


def confirmed_addresses_of(account: "Account") -> set[str]:
    """Those that the person has shown to be theirs."""
    confirmed = account.emailaddress_set.filter(verified=True)  # type: ignore[attr-defined]
    return {normalise_address(address) for address in confirmed.values_list("email", flat=True)}


def mailbox(address: str) -> str:
    """Where `alice+news@lab.test` arrives: to tell whether two people may be one, never to sign in."""
    local, _, domain = normalise_address(address).rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def mailboxes_of(*accounts: "Account") -> set[str]:
    """The mailboxes of these people's addresses, confirmed or not."""
    return {mailbox(address) for address in addresses_of(*accounts)}


def domains_of(account: "Account") -> set[str]:
    """The domains of the confirmed addresses and of the one to sign in with, with every domain above them."""
    found = set()
    for address in {account.email, *confirmed_addresses_of(account)}:
        labels = address.rpartition("@")[2].split(".")
        found |= {".".join(labels[start:]) for start in range(len(labels))}
    return found


def accounts_at(address: str) -> set[int]:
    """The numbers of the accounts that have confirmed the address."""
    confirmed = Q(emailaddress__email=normalise_address(address), emailaddress__verified=True)
    return set(get_user_model().objects.filter(confirmed).values_list("pk", flat=True))


def digest(address: str, key: str | bytes | None = None) -> str:
    """Without the key nobody can tell which address it was, nor try a list of them."""
    normal = normalise_address(address)
    return salted_hmac(SALT, normal, secret=key, algorithm="sha256").hexdigest()


def digests(address: str) -> list[str]:
    """As it would have been kept under today's key or one before it."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [digest(address, key) for key in keys]
