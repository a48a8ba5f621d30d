"""What this site holds about a person, for that person, as JSON.

As with erasure, each floor says what it holds (`register`, called when its app is ready).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portal.accounts.models import Account, Affiliation
from portal.audit.models import Event

Teller = Callable[[Account], Any]
_tellers: dict[str, Teller] = {}


def register(part: str, teller: Teller) -> None:
    """`teller` gives what stands under `part`: lists and dicts of what JSON can hold."""
    _tellers[part] = teller


def own_data(account: Account) -> dict[str, Any]:
    """Every part, in the order of the floors. Reads alone."""
    return {part: teller(account) for part, teller in _tellers.items()}


def about_account(account: Account) -> dict[str, Any]:
    affiliation = Affiliation.objects.filter(account=account).first()
    tokens = account.tokens.values("name", "hint", "scopes", "created_at", "last_used_at")
    addresses = account.emailaddress_set.values("email", "verified")  # type: ignore[attr-defined]
    others = account.socialaccount_set.values("provider", "uid", "date_joined")  # type: ignore[attr-defined]
    factors = account.authenticator_set.values("type", "created_at")  # type: ignore[attr-defined]
    return {
        "number": account.pk,
        "name": account.name,
        "email": account.email,
        "date_joined": account.date_joined,
        "last_login": account.last_login,
        "roles": list(account.groups.values_list("name", flat=True)),
        "affiliation": affiliation.snapshot() if affiliation else None,
        "addresses": list(addresses),
        "sign_ins_by_other_sites": list(others),
        "second_factors": list(factors),
        "tokens": list(tokens),
    }


def mails(account: Account) -> Sequence[Mapping[str, Any]]:
    """Without the texts of those that carry a key to an account."""
    return list(account.mails.values("created_at", "template", "to", "subject", "sent_at"))


def acts(account: Account) -> Sequence[Mapping[str, Any]]:
    """What the audit log says that the person did."""
    done = Event.objects.filter(actor=account).order_by("id")
    return list(done.values("id", "at", "verb", "subject_type", "subject_id", "data"))
