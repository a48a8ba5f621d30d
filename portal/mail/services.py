"""Mail leaves from a row: written with the act, sent after commit, tried again until it is delivered."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import models, transaction
from django.db.models import F, Q, QuerySet
from django.template.loader import render_to_string
from django.utils import timezone

from portal.accounts.addresses import accounts_at
from portal.accounts.models import Account
from portal.mail.limits import check_limits
from portal.mail.models import OutgoingMail
from portal.names import clean_name
from portal.queue import enqueue_on_commit

GIVE_UP_AFTER = 12  # attempts; with the back-off below that is about three days


def send(
    template: str, *, to: Account, sender: Account | None = None, **context: Any
) -> OutgoingMail:
    """Write a mail to `to`, rendered from `mail/<template>.txt`: first line subject, then a blank line, then body.

    The mail is about the accounts that the context holds, and about those that its rows say in `mail_subjects`.
    `sender`: whose act sends it, where acts of people are limited. Raises Refusal RATE_LIMITED.
    """
    text = render_to_string(
        f"mail/{template}.txt", {**context, "to": to, "base_url": settings.BASE_URL}
    )
    subject, _, body = text.strip().partition("\n")
    return enqueue(
        template,
        address=to.email,
        subject=subject,
        body=body.strip(),
        account=to,
        sender=sender,
        about=_accounts_in(context.values()) - {to.pk},
    )


def send_outside(
    template: str,
    *,
    address: str,
    sender: Account | None = None,
    forget: bool = False,
    **context: Any,
) -> OutgoingMail:
    """As `send`, to an address that may have no account. `forget`: nothing of it is kept."""
    text = render_to_string(f"mail/{template}.txt", {**context, "base_url": settings.BASE_URL})
    subject, _, body = text.strip().partition("\n")
    return enqueue(
        template,
        address=address,
        subject=subject,
        body=body.strip(),
        sender=sender,
        about=_accounts_in(context.values()) | accounts_at(address),
        forget=forget,
    )


def _accounts_in(value: Any) -> set[int]:
    """Whom a value of a mail's context is about, by their numbers."""
    if isinstance(value, Account):
        return {value.pk}
    if isinstance(value, models.Model):
        return getattr(value, "mail_subjects", set)() - {None}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return {pk for one in value for pk in _accounts_in(one)}
    return set()


def enqueue(
    template: str,
    *,
    address: str,
    subject: str,
    body: str,
    account: Account | None = None,
    sender: Account | None = None,
    about: Iterable[int] = (),
    forget: bool = False,
) -> OutgoingMail:
    """The one place that writes a mail. `about`: the accounts that it names beside its reader."""
    from portal.mail.tasks import deliver  # here, because tasks import this module

    if sender:
        check_limits(sender, to=address, template=template, outside=account is None)
    mail = OutgoingMail.objects.create(
        template=template,
        to=address,
        account=account,
        sender=sender,
        subject=clean_name(subject)[:200],
        body=body + "\n",
        forget=forget,
    )
    if about := list(about):
        mail.about.set(about)
    enqueue_on_commit(deliver, mail.pk)
    return mail


def deliver(mail_id: int) -> bool:
    """Send one mail if it waits to be sent; say whether it is sent now. A second call sends nothing."""
    if not _take(mail_id):
        return False
    mail = OutgoingMail.objects.get(pk=mail_id)
    try:  # outside any transaction: a rollback after sending would send it twice
        EmailMessage(mail.subject, mail.body, settings.DEFAULT_FROM_EMAIL, [mail.to]).send()
    except Exception as error:
        mail.last_error = f"{type(error).__name__}: {error}"
        if mail.forget and mail.attempts >= GIVE_UP_AFTER:
            mail.clear()
        mail.save(update_fields=["to", "subject", "body", "last_error"])
        return False
    mail.sent_at = timezone.now()
    mail.last_error = ""
    if mail.forget:
        mail.clear()
    mail.save(update_fields=["sent_at", "to", "subject", "body", "last_error"])
    return True


def _take(mail_id: int) -> bool:
    """Compare-and-set: of two workers one gets the mail, and the next attempt is already dated."""
    now = timezone.now()
    with transaction.atomic():
        waiting = OutgoingMail.objects.filter(
            pk=mail_id, sent_at=None, next_attempt_at__lte=now, attempts__lt=GIVE_UP_AFTER
        )
        mail = waiting.select_for_update().first()
        if mail is None:
            return False
        pause = timedelta(minutes=min(2**mail.attempts, 12 * 60))
        waiting.update(attempts=F("attempts") + 1, next_attempt_at=now + pause)
    return True


def forget_mails(mails: "QuerySet[OutgoingMail]") -> None:
    """Clear these mails; those that still wait are not sent any more."""
    mails.filter(sent_at=None).update(attempts=GIVE_UP_AFTER)
    mails.update(to="", subject="", body="", last_error="", account=None)


def forget_mails_about(account: Account) -> None:
    """Clear the mails to others that name the account; those that wait, as they leave."""
    over = ~Q(sent_at=None) | Q(attempts__gte=GIVE_UP_AFTER)
    about = OutgoingMail.objects.filter(about=account)
    about.filter(over).update(subject="", body="", last_error="")
    about.exclude(over).update(forget=True)
    account.mails_about.clear()


def waiting_ids(limit: int = 200) -> list[int]:
    """Mails that are due: those whose first attempt failed, or whose task was lost."""
    due = OutgoingMail.objects.filter(
        sent_at=None, next_attempt_at__lte=timezone.now(), attempts__lt=GIVE_UP_AFTER
    )
    return list(due.order_by("id").values_list("pk", flat=True)[:limit])
