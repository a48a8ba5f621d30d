"""What managers do with webhooks. Sending them is in delivering.py."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.canonical import canonical, moment
from portal.audit.models import Verb
from portal.audit.sealing import last_seal
from portal.audit.services import record
from portal.names import clean_name
from portal.refusals import Code, Refusal
from portal.webhooks import sending, signing
from portal.webhooks.models import Attempt, Subscription

FORMER_SECRET = timedelta(days=1)  # how long a rotated secret still signs beside the new one


def only_for_managers(actor: Account) -> None:
    """Raises Refusal NOT_ALLOWED."""
    if not roles.is_manager(actor):
        raise Refusal(
            Code.NOT_ALLOWED, "Webhooks are a manager's matter.", "Ask a manager of this site."
        )


@contextmanager
def _locked(subscription_id: int, *, actor: Account) -> Iterator[Subscription]:
    only_for_managers(actor)
    with transaction.atomic():
        found = Subscription.objects.select_for_update().filter(pk=subscription_id).first()
        if found is None:
            raise Refusal(
                Code.NOT_FOUND, "There is no such webhook.", "It may have been ended already."
            )
        yield found


@transaction.atomic
def subscribe(
    *, actor: Account, name: str, url: str, verbs: Iterable[str]
) -> tuple[Subscription, str]:
    """A new subscription to what is sealed from now on, and its secret, which is shown once.

    Raises Refusal NOT_ALLOWED, INVALID.
    """
    only_for_managers(actor)
    secret = signing.new_secret()
    last = last_seal()
    made = Subscription.objects.create(
        name=_name(name),
        url=_url(url),
        verbs=_verbs(verbs),
        secret=signing.boxed(secret),
        taken_seal=last.number if last else 0,
        created_by=actor,
    )
    record(Verb.WEBHOOK_MADE, made, actor=actor, verbs=made.verbs)
    return made, secret


def change(
    subscription_id: int, *, actor: Account, name: str, url: str, verbs: Iterable[str]
) -> Subscription:
    """Name, address, verbs. What has a number already is sent as it was numbered; a new address is tried at once."""
    with _locked(subscription_id, actor=actor) as one:
        fresh = url != one.url
        one.name, one.url, one.verbs = _name(name), _url(url), _verbs(verbs)
        if fresh:
            one.failures, one.next_attempt_at = 0, timezone.now()
        one.save(update_fields=["name", "url", "verbs", "failures", "next_attempt_at"])
        record(Verb.WEBHOOK_CHANGED, one, actor=actor, verbs=one.verbs, address_changed=fresh)
    return one


def pause(subscription_id: int, *, actor: Account) -> Subscription:
    """Send nothing until it is resumed. Nothing is lost: what happens meanwhile is sent then."""
    with _locked(subscription_id, actor=actor) as one:
        if one.paused_at:
            raise _wrong_state("It is paused already.", "Resume it when the receiver is back.")
        one.paused_at = timezone.now()
        one.save(update_fields=["paused_at"])
        record(Verb.WEBHOOK_PAUSED, one, actor=actor)
    return one


def resume(subscription_id: int, *, actor: Account) -> Subscription:
    with _locked(subscription_id, actor=actor) as one:
        if one.paused_at is None:
            raise _wrong_state("It is not paused.", "Nothing is left to do.")
        one.paused_at = None
        one.failures, one.next_attempt_at = 0, timezone.now()
        one.failing_since = one.told_at = None  # the time of the pause is not a failure
        one.save(
            update_fields=["paused_at", "failures", "next_attempt_at", "failing_since", "told_at"]
        )
        record(Verb.WEBHOOK_RESUMED, one, actor=actor)
    return one


def try_now(subscription_id: int, *, actor: Account) -> Subscription:
    """Do not wait for the back-off: the receiver was mended."""
    with _locked(subscription_id, actor=actor) as one:
        one.failures, one.next_attempt_at = 0, timezone.now()
        one.save(update_fields=["failures", "next_attempt_at"])
    return one


def rotate(subscription_id: int, *, actor: Account) -> tuple[Subscription, str]:
    """A new secret, shown once. For a day each message is signed with the old one too."""
    with _locked(subscription_id, actor=actor) as one:
        secret = signing.new_secret()
        one.former_secret, one.secret = one.secret, signing.boxed(secret)
        one.former_until = timezone.now() + FORMER_SECRET
        one.save(update_fields=["secret", "former_secret", "former_until"])
        record(Verb.WEBHOOK_SECRET_ROTATED, one, actor=actor)
    return one, secret


def replay(subscription_id: int, *, actor: Account, sequence: int) -> Subscription:
    """Deliver again, from that number on and under the same ids. Raises Refusal INVALID."""
    with _locked(subscription_id, actor=actor) as one:
        first = one.deliveries.order_by("sequence").values_list("sequence", flat=True).first()
        if first is None or not first <= sequence <= one.delivered:
            text = (
                f"Choose a number from {first} to {one.delivered}."
                if first and first <= one.delivered
                else "Nothing that was delivered is kept."
            )
            raise Refusal(
                Code.INVALID,
                text,
                "What was delivered is kept for 90 days; older events are in the audit log.",
                fields={"sequence": [text]},
            )
        one.delivered = sequence - 1
        one.failures, one.next_attempt_at = 0, timezone.now()
        one.save(update_fields=["delivered", "failures", "next_attempt_at"])
        record(Verb.WEBHOOK_REPLAYED, one, actor=actor, sequence=sequence)
    return one


def end(subscription_id: int, *, actor: Account) -> None:
    """Send nothing more and forget it. The log keeps that it was."""
    with _locked(subscription_id, actor=actor) as one:
        record(Verb.WEBHOOK_ENDED, one, actor=actor, delivered=one.delivered)
        one.delete()


def ping(subscription_id: int, *, actor: Account) -> Attempt:
    """Send a signed test now, outside the line, and say what came of it."""
    with _locked(subscription_id, actor=actor) as one:
        record(Verb.WEBHOOK_PINGED, one, actor=actor)
    now = timezone.now()
    body = canonical({"type": "webhook.ping", "timestamp": moment(now), "data": {}})
    answer = send(one, f"msg_{one.public_id.hex}_ping_{secrets.token_hex(8)}", body)
    return one.attempts.create(
        verb="webhook.ping",
        took_ms=answer.took_ms,
        status=answer.status,
        answer=answer.text,
        error=answer.error,
    )


def send(one: Subscription, message_id: str, body: bytes) -> sending.Answer:
    """Sign and send, outside any transaction."""
    now = timezone.now()
    boxes = [one.secret]
    if one.former_until and one.former_until > now:
        boxes.append(one.former_secret)
    opened = [secret for box in boxes if (secret := signing.opened(box))]
    if not opened:
        return sending.Answer(0, error="The site's secret key changed: rotate the secret here.")
    headers = signing.headers(message_id, int(now.timestamp()), body, opened)
    return sending.post(one.url, body, headers)


def _name(name: str) -> str:
    if not (name := clean_name(name)[:80]):
        raise _invalid("name", "Give it a name.")
    return name


def _url(url: str) -> str:
    if problem := sending.why_not(url := url.strip()):
        raise _invalid("url", problem)
    if len(url) > 500:
        raise _invalid("url", "An address has at most 500 characters.")
    return url


def _verbs(verbs: Iterable[str]) -> list[str]:
    chosen = sorted(set(verbs))
    if unknown := [verb for verb in chosen if verb not in Verb.values]:
        raise _invalid("verbs", f"There is no event {', '.join(unknown)}.")
    return chosen


def _invalid(field: str, text: str) -> Refusal:
    return Refusal(Code.INVALID, text, "Correct it and try again.", fields={field: [text]})


def _wrong_state(text: str, way_out: str) -> Refusal:
    return Refusal(Code.WRONG_STATE, text, way_out)
