"""What changes about a person."""

from datetime import timedelta

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from portal.accounts.models import Account, Affiliation, ApiToken, Scope
from portal.accounts.notices import notify_owner
from portal.accounts.roles import Role, holders
from portal.audit.models import Verb
from portal.audit.services import record
from portal.names import clean_name
from portal.refusals import Code, Refusal

TOKEN_DAYS = 365


@transaction.atomic
def save_affiliation(affiliation: Affiliation, *, actor: Account) -> Affiliation:
    """Save the (validated) affiliation of `actor`."""
    Account.objects.select_for_update().get(pk=actor.pk)  # two first saves at once become one row
    if affiliation.pk is None:
        affiliation.pk = (
            Affiliation.objects.filter(account=actor).values_list("pk", flat=True).first()
        )
    affiliation.account = actor
    affiliation.save()
    record(Verb.AFFILIATION_CHANGED, actor, actor=actor, category=affiliation.category)
    return affiliation


@transaction.atomic
def rename(account: Account, name: str, *, actor: Account) -> None:
    """Give the account the (validated) name; nothing happens where it has that name."""
    if (name := clean_name(name)) == Account.objects.get(pk=account.pk).name:
        return
    account.name = name
    account.save(update_fields=["name"])
    record_rename(account, actor=actor)


def record_rename(account: Account, *, actor: Account) -> None:
    """After the name of the account changed: accepted licences are signed with it."""
    record(Verb.ACCOUNT_RENAMED, account, actor=actor)
    notify_owner(account, "renamed")


def check_roles(account: Account, *, actor: Account, wanted: set[str], is_active: bool) -> None:
    """Before the roles of `account` become `wanted`, in the transaction of the change.

    Raises Refusal NOT_ALLOWED (one's own), CONFLICT (nobody would be left to give roles).
    """
    # Two managers who take the role from each other at once wait here for one another.
    Group.objects.select_for_update().get(name=Role.MANAGER.value)
    before = set(account.groups.values_list("name", flat=True))
    if account == actor and (wanted != before or not is_active):
        raise Refusal(
            Code.NOT_ALLOWED,
            "Nobody changes their own roles, nor closes their own account here.",
            "Ask another manager of this site.",
        )
    leaves = Role.MANAGER.value in before and not (is_active and Role.MANAGER.value in wanted)
    if leaves and _is_last_manager(account):
        raise Refusal(
            Code.CONFLICT,
            "This is the last manager who can act: nobody would be left to give roles.",
            "Make somebody else a manager first, and have them set up their second factor.",
        )


def _is_last_manager(account: Account) -> bool:
    """A manager without the second factor that the role needs cannot act, and does not count."""
    named = Account.objects.filter(is_active=True, groups__name=Role.MANAGER.value)
    if not named.exclude(pk=account.pk).exists():
        return True
    acting = set(holders(Role.MANAGER).values_list("pk", flat=True))
    return acting == {account.pk}


@transaction.atomic
def note_roles(account: Account, *, actor: Account, before: set[str]) -> None:
    """After a manager changed the roles of `account`, which were `before`.

    Whoever has a role may open the admin, and nobody else; the change is an event.
    """
    now = set(account.groups.values_list("name", flat=True))
    account.is_staff = account.is_superuser or bool(now)
    account.save(update_fields=["is_staff"])
    if now != before:
        given, taken = sorted(now - before), sorted(before - now)
        record(Verb.ROLES_CHANGED, account, actor=actor, given=given, taken=taken)


def note_closing(account: Account, *, actor: Account) -> None:
    """After a manager closed the account, or opened it again."""
    verb = Verb.ACCOUNT_OPENED if account.is_active else Verb.ACCOUNT_CLOSED
    record(verb, account, actor=actor)


@transaction.atomic
def create_token(
    account: Account, *, actor: Account | None, name: str, scopes: list[str], days: int = TOKEN_DAYS
) -> tuple[ApiToken, str]:
    """A token for `account`: the row, and its text, which is shown once and not kept.

    Raises Refusal INVALID for scopes that do not exist.
    """
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        raise Refusal(
            Code.INVALID,
            f"There is no scope {', '.join(unknown)}."
            if unknown
            else "A token needs at least one scope.",
            f"Choose from: {', '.join(Scope.values)}.",
        )
    token, text = ApiToken.make(
        account,
        name=name,
        scopes=sorted(set(scopes)),
        expires_at=timezone.now() + timedelta(days=days),
    )
    record(Verb.TOKEN_CREATED, token, actor=actor, scopes=token.scopes)
    return token, text


@transaction.atomic
def revoke_token(token_id: int, *, actor: Account) -> None:
    """Delete one's own token; the next request with it is refused."""
    token = ApiToken.objects.select_for_update().filter(pk=token_id, account=actor).first()
    if token is None:
        raise Refusal(
            Code.NOT_FOUND,
            "You have no such token.",
            "It may be revoked already.",
            url="/account/tokens/",
        )
    record(Verb.TOKEN_REVOKED, token, actor=actor)
    token.delete()


@transaction.atomic
def revoke_tokens(account: Account, *, actor: Account) -> int:
    """Delete every token of the account; say how many."""
    tokens = list(ApiToken.objects.select_for_update().filter(account=account))
    for token in tokens:
        record(Verb.TOKEN_REVOKED, token, actor=actor)
        token.delete()
    return len(tokens)
