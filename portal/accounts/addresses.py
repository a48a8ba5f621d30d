"""A person's addresses, and the keyed hash by which one is known again that is kept no more."""

from allauth.account.models import EmailAddress
from django.conf import settings
from django.utils.crypto import salted_hmac

from portal.accounts.models import Account

SALT = "weighbridge.address"


def addresses_of(account: Account) -> list[str]:
    """Every address of the account, in lower case."""
    others = account.emailaddress_set.values_list("email", flat=True)  # type: ignore[attr-defined]
    return sorted({account.email.lower(), *(address.lower() for address in others)})


def accounts_at(address: str) -> set[int]:
    """The numbers of the accounts that have confirmed the address."""
    found = EmailAddress.objects.filter(email__iexact=address, verified=True)
    return set(found.values_list("user", flat=True))


def digest(address: str, key: str | bytes | None = None) -> str:
    """Without the key nobody can tell which address it was, nor try a list of them."""
    return salted_hmac(SALT, address.lower(), secret=key, algorithm="sha256").hexdigest()


def digests(address: str) -> list[str]:
    """As it would have been kept under today's key or one before it."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [digest(address, key) for key in keys]
