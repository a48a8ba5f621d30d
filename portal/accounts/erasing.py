"""Erasing a person: what nobody needs any more goes, the record of decisions stays.

Each floor registers how it erases its own rows (`register`, called when its app is ready); this
module names none of them. Events hold numbers alone, so the log is not touched and still verifies.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.accounts import roles
from portal.accounts.addresses import addresses_of
from portal.accounts.models import Account, Affiliation, Erasure
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.models import OutgoingMail
from portal.mail.services import forget_mails, forget_mails_about, send, send_outside
from portal.refusals import Code, Refusal

DAYS = 7  # in which it can be taken back
GONE = "Removed: the person was erased."  # in place of a text

Eraser = Callable[[Account], None]
Check = Callable[[Account], None]  # raises Refusal while the person cannot be erased
_erasers: list[Eraser] = []
_checks: list[Check] = []


def register(eraser: Eraser, *, check: Check | None = None) -> None:
    """Let a floor erase its own rows. Both are called inside the transaction of the erasure."""
    if eraser not in _erasers:
        _erasers.append(eraser)
    if check and check not in _checks:
        _checks.append(check)


def waiting(account: Account) -> Erasure | None:
    """The erasure that was asked for and not done yet."""
    return account.erasures.filter(taken_back_at=None, done_at=None).first()


def hindrance(account: Account) -> Refusal | None:
    """Why the person cannot be erased now, with the way out; None when nothing stands against it."""
    try:
        for check in _checks:
            check(account)
    except Refusal as refusal:
        return refusal
    return None


@transaction.atomic
def ask(account_id: int, *, actor: Account) -> Erasure:
    """Ask that a person is erased in some days: oneself, or for managers anybody.

    Raises Refusal: NOT_FOUND, WRONG_STATE (asked or erased already, a grant stands, an application
    is open, a role is held).
    """
    account = _locked(account_id, actor)
    if account.erased_at:
        raise Refusal(
            Code.WRONG_STATE,
            "This person was erased.",
            "Nothing is left to do.",
            since=account.erased_at,
        )
    if found := waiting(account):
        raise Refusal(
            Code.WRONG_STATE,
            f"This was asked for already, and is done after {found.due_at:%-d %B %Y, %H:%M} UTC.",
            "It can be taken back until then.",
            since=found.asked_at,
            url="/account/erase/",
        )
    if refusal := hindrance(account):
        raise refusal
    due = timezone.now() + timedelta(days=DAYS)
    made = Erasure.objects.create(account=account, asked_by=actor, due_at=due)
    record(Verb.ERASURE_SCHEDULED, account, actor=actor, due_at=due.isoformat())
    send("erasure_scheduled", to=account, erasure=made, by_manager=actor.pk != account.pk)
    return made


@transaction.atomic
def take_back(account_id: int, *, actor: Account) -> Erasure:
    """The person stays. Raises Refusal NOT_FOUND, WRONG_STATE (nothing waits)."""
    account = _locked(account_id, actor)
    found = waiting(account)
    if found is None:
        raise Refusal(
            Code.WRONG_STATE, "No erasure waits for this account.", "Nothing is left to do."
        )
    found.taken_back_at = timezone.now()
    found.save(update_fields=["taken_back_at"])
    record(Verb.ERASURE_TAKEN_BACK, account, actor=actor)
    return found


def _lock() -> "QuerySet[Account]":
    """The key stays free: acts on the person's rows hold their own lock and then point to the account,
    and would wait for this one while this one waits for theirs.
    """
    return Account.objects.select_for_update(no_key=True)


def _locked(account_id: int, actor: Account) -> Account:
    found = _lock().filter(pk=account_id).first()
    if found is None or not (found.pk == actor.pk or roles.is_manager(actor)):
        raise Refusal(
            Code.NOT_FOUND,
            "There is no such account, or none that you may erase.",
            "Ask a manager of this site.",
        )
    return found


@transaction.atomic
def erase(account_id: int) -> Account:
    """Erase a person whose erasure is due. Doing it twice changes nothing.

    Raises Refusal: WRONG_STATE (not asked for, or something stands against it now), TOO_EARLY.
    """
    account = _lock().get(pk=account_id)
    if account.erased_at:
        return account
    found = waiting(account)
    if found is None:
        raise Refusal(
            Code.WRONG_STATE, "Nobody asked that this person is erased.", "Ask for it first."
        )
    if found.due_at > timezone.now():
        raise Refusal(
            Code.TOO_EARLY,
            f"It is due on {found.due_at:%-d %B %Y, %H:%M} UTC.",
            "Until then the person may take it back.",
        )
    if refusal := hindrance(account):
        raise refusal
    name, address = account.name, account.email
    for eraser in reversed(_erasers):  # the upper floors first, while the rows below still speak
        eraser(account)
    found.done_at = timezone.now()
    found.save(update_fields=["done_at"])
    record(Verb.ACCOUNT_ERASED, account, actor=None)
    send_outside("erased", address=address, forget=True, name=name)
    return account


def erase_due() -> int:
    """Erase everybody whose days are over; say how many. Who has something standing waits on."""
    done = 0
    due = Erasure.objects.filter(taken_back_at=None, done_at=None, due_at__lte=timezone.now())
    for account_id in due.order_by("due_at").values_list("account", flat=True)[:100]:
        try:
            erase(account_id)
        except Refusal:  # a grant or an application came meanwhile; the person's page says so
            continue
        done += 1
    return done


# ---- What the portal itself holds ----------------------------------------------------------------


def check_holds_no_role(account: Account) -> None:
    """Who acts for this site is known by name as long as they do."""
    if account.is_superuser or account.groups.exists():
        raise Refusal(
            Code.WRONG_STATE,
            "This account holds a role on this site.",
            "Ask a manager to take the role back, then ask again.",
        )


def erase_account(account: Account) -> None:
    """The account itself: who it was, how it signed in, and the mails it got."""
    account.erased_at = timezone.now()
    account.save(update_fields=["erased_at"])  # first, so that nobody is told of each row below
    _erase_mails(account)
    erase_log_entries(Account.objects.filter(pk=account.pk))
    # A log entry of an address has nothing but the address, and outlives it.
    for address in addresses_of(account):
        LogEntry.objects.filter(object_repr__iexact=address).update(object_repr=GONE)
    Affiliation.objects.filter(account=account).delete()
    for rows in ("tokens", "emailaddress_set", "socialaccount_set", "authenticator_set"):
        getattr(account, rows).all().delete()
    _end_sessions(account)
    account.user_permissions.clear()
    account.email = f"erased-{account.pk}@erased.invalid"
    account.name = f"Erased person {account.pk}"
    account.is_active = account.is_staff = False
    account.set_unusable_password()
    account.last_login = None
    account.save()


def erase_log_entries(rows: "QuerySet[Any]") -> None:
    """What the admin's log calls these rows."""
    numbers = [str(pk) for pk in rows.values_list("pk", flat=True)]
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(rows.model), object_id__in=numbers
    )
    entries.update(object_repr=GONE)


def _erase_mails(account: Account) -> None:
    forget_mails_about(account)
    forget_mails(OutgoingMail.objects.filter(account=account))
    for address in addresses_of(account):
        forget_mails(OutgoingMail.objects.filter(to__iexact=address))


def _end_sessions(account: Account) -> None:
    """A session's row is sealed text: each has to be opened to know whose it is."""
    for session in Session.objects.iterator(chunk_size=1000):
        if session.get_decoded().get("_auth_user_id") == str(account.pk):
            session.delete()
