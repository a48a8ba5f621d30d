"""How many mails one person's acts may send, and how many of them one address gets.

An act over a limit is refused, and says when it is possible again: its person is there to read that, and nothing is
sent later that they no longer want. What the site sends by itself (decisions, reminders of Beat) has no sender, and
is not limited.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from portal.accounts.models import Account
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Limit:
    """At most `most` mails in `within` that are alike in the columns of `same`."""

    most: int
    within: timedelta
    same: tuple[str, ...]
    text: str
    outside: bool = False  # counts for addresses of no account alone


LIMITS = (
    Limit(5, DAY, ("sender", "to"), "You sent 5 mails to this address in a day.", outside=True),
    Limit(20, DAY, ("to",), "This address got 20 mails from this site in a day.", outside=True),
    Limit(10, HOUR, ("sender", "to", "template"), "You sent this person 10 such mails in an hour."),
    Limit(100, HOUR, ("sender",), "Your acts sent 100 mails in an hour."),
)


def check_limits(sender: Account, *, to: str, template: str, outside: bool) -> None:
    """Before a mail is written. Raises Refusal RATE_LIMITED."""
    mail = {"sender": sender, "to": to, "template": template}
    for limit in LIMITS:
        if not limit.outside or outside:
            _check(limit, {column: mail[column] for column in limit.same})


def _check(limit: Limit, alike: dict[str, Any]) -> None:
    now = timezone.now()
    sent = OutgoingMail.objects.filter(**alike, created_at__gt=now - limit.within)
    sent = sent.exclude(sender=None)
    times = list(sent.order_by("-created_at").values_list("created_at", flat=True)[: limit.most])
    if len(times) < limit.most:
        return
    again = times[-1] + limit.within
    raise Refusal(
        Code.RATE_LIMITED,
        limit.text,
        f"Try again after {again:%-d %B %Y, %H:%M} UTC. Nothing was sent or changed.",
        headers={"Retry-After": str(max(1, int((again - now).total_seconds()) + 1))},
    )
