"""What changes how a person signs in: an event, and a mail to its owner, whoever did it and wherever.

Rows of allauth are watched themselves, in the transaction of their change, so that no page of its or of the admin
passes by; where there is no row to watch, its signals are.
"""

from typing import Any

from allauth.account import signals
from allauth.account.models import EmailAddress
from allauth.core import context
from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.audit.services import record
from portal.mail.services import send, send_outside

DEVICE_COOKIE = "device"
DEVICE_SALT = "weighbridge.device"
DEVICE_SECONDS = 365 * 24 * 3600
MOST_ACCOUNTS = 10  # that one browser is remembered for


def acting_account() -> Account | None:
    """Who sends the request that is being answered; None for a task, a command and a stranger."""
    by = getattr(context.request, "user", None)
    return by if isinstance(by, Account) else None


def notify_owner(account: Account, what: str, *, also_to: str = "", **more: Any) -> None:
    """Mail the owner that their account changed, and the address `also_to`, where that is another."""
    by_other = (by := acting_account()) is not None and by.pk != account.pk
    context_ = {"what": what, "by_other": by_other, "tokens": list(account.tokens.all()), **more}
    send("account_changed", to=account, **context_)
    if also_to and also_to.lower() != account.email.lower():
        send_outside("account_changed", address=also_to, to=account, **context_)


def is_deleted_with_account(origin: Any) -> bool:
    """Whether a row is deleted because its account is: there is nobody left to tell. `origin`: of Django's signal."""
    return isinstance(origin, Account) or getattr(origin, "model", None) is Account


# ---- Passwords -----------------------------------------------------------------------------------


@receiver(signals.password_changed)
@receiver(signals.password_set)
def _password_changed(request: HttpRequest, user: Account, **_: Any) -> None:
    record(Verb.PASSWORD_CHANGED, user, actor=user)
    notify_owner(user, "password_changed")
    _name_tokens_left(request, user)


@receiver(signals.password_reset)
def _password_reset(request: HttpRequest, user: Account, **_: Any) -> None:
    record(Verb.PASSWORD_RESET, user, actor=user)
    notify_owner(user, "password_reset")
    _name_tokens_left(request, user)


def _name_tokens_left(request: HttpRequest, account: Account) -> None:
    """Tokens do not end with a password: the form offers to revoke them, and this says which are left."""
    if names := [str(token) for token in account.tokens.all()]:
        messages.info(request, f"These tokens still work: {', '.join(names)}.")


# ---- Addresses -----------------------------------------------------------------------------------


@receiver(pre_save, sender=EmailAddress)
def _read_before(instance: Any, **_: Any) -> None:
    """So that what is saved can be compared with what was there."""
    instance.before = EmailAddress.objects.filter(pk=instance.pk).first() if instance.pk else None


@receiver(post_save, sender=EmailAddress)
def _address_saved(instance: Any, **_: Any) -> None:
    """The first address of an account comes with its sign-up, which is an event of its own."""
    before: EmailAddress | None = instance.before
    is_only = not instance.user.emailaddress_set.exclude(pk=instance.pk).exists()
    if before is None:
        if not is_only:
            _record_address(Verb.ADDRESS_ADDED, instance)
            notify_owner(instance.user, "address_added", changed=instance.email)
        return
    if instance.verified and not before.verified:
        _record_address(Verb.ADDRESS_CONFIRMED, instance)
        if not is_only:
            notify_owner(instance.user, "address_confirmed", changed=instance.email)
    if instance.primary and not before.primary and not is_only:
        _record_address(Verb.ADDRESS_MADE_PRIMARY, instance)
        new = instance.email  # the account still has the former one
        notify_owner(instance.user, "address_made_primary", changed=new, also_to=new)
    if instance.email != before.email:
        _record_address(Verb.ADDRESS_CHANGED, instance)
        notify_owner(instance.user, "address_changed", changed=instance.email, also_to=before.email)


@receiver(post_delete, sender=EmailAddress)
def _address_removed(instance: EmailAddress, origin: Any, **_: Any) -> None:
    if is_deleted_with_account(origin):
        return
    account = Account.objects.get(pk=instance.user_id)
    if account.erased_at:
        return
    _record_address(Verb.ADDRESS_REMOVED, instance)
    gone = instance.email
    notify_owner(
        account, "address_removed", changed=gone, also_to=gone if instance.verified else ""
    )


def _record_address(verb: Verb, address: EmailAddress) -> None:
    account = Account(pk=address.user_id)
    record(verb, account, actor=acting_account() or account, address=address.pk)


# ---- Devices -------------------------------------------------------------------------------------


@receiver(signals.user_logged_in)
def _signed_in(request: HttpRequest, user: Account, response: HttpResponse, **_: Any) -> None:
    """A browser that this account has not signed in from is told of, and remembered."""
    known = _accounts_of(request)
    if user.pk in known:
        return
    devices = Event.objects.filter(
        verb=Verb.NEW_DEVICE, subject_type=user._meta.label_lower, subject_id=str(user.pk)
    )
    is_first = not devices.exists()  # the one that signed up
    record(Verb.NEW_DEVICE, user, actor=user)
    if not is_first:
        agent = " ".join(request.headers.get("User-Agent", "").split())[:200]
        notify_owner(user, "new_device", agent=agent)
    response.set_cookie(
        DEVICE_COOKIE,
        signing.dumps([*known, user.pk][-MOST_ACCOUNTS:], salt=DEVICE_SALT),
        max_age=DEVICE_SECONDS,
        secure=settings.SECURE,
        httponly=True,
        samesite="Lax",
    )


def _accounts_of(request: HttpRequest) -> list[int]:
    try:
        found = signing.loads(
            request.COOKIES.get(DEVICE_COOKIE, ""), salt=DEVICE_SALT, max_age=DEVICE_SECONDS
        )
    except signing.BadSignature:
        return []
    return [pk for pk in found if isinstance(pk, int)]
