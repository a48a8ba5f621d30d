"""How much of the sandbox each grant may use, and how much of that is used today (days are UTC's).

What an unfinished run may still come to (its prompt, and the longest answer it asked for) is
reserved; what it came to is charged in the transaction that closes it. So a run counts once at any
moment, and requests that come together cannot pass the limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from access_requests import selectors as access
from access_requests.models import Grant, Tier
from inference_sandbox.models import DayOfUse, Quota, Run
from inference_sandbox.selectors import UNFINISHED
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

SOON = 5  # seconds after which a place may be free again
MOST_TOKENS, MOST_AT_ONCE = 1_000_000_000, 1_000  # that a manager may allow


@dataclass(frozen=True)
class Use:
    """What a grant may use in the sandbox, and what it uses now."""

    tokens_per_day: int
    simultaneous: int
    used: int  # tokens, today
    reserved: int  # tokens that its unfinished runs may still come to
    unfinished: int  # requests; a job is one, however many runs it has
    resets_at: datetime

    @property
    def left(self) -> int:
        return max(0, self.tokens_per_day - self.used - self.reserved)

    @property
    def seconds_to_reset(self) -> int:
        return ceil((self.resets_at - timezone.now()).total_seconds())


def use_of(grant: Grant) -> Use:
    """Asked in one query: a run that ends meanwhile is either reserved or used, never both."""
    today = timezone.now().date()
    unfinished = Run.objects.filter(grant=OuterRef("pk"), status__in=UNFINISHED).order_by()
    runs = unfinished.values("grant")  # by which the sums below are grouped: there is one
    bound = Sum(Coalesce("prompt_tokens", 0) + F("max_tokens"))
    asked = {
        "used": DayOfUse.objects.filter(grant=OuterRef("pk"), day=today).values("tokens"),
        "reserved": runs.annotate(found=bound).values("found"),
        "alone": runs.filter(job=None).annotate(found=Count("pk")).values("found"),
        "jobs": runs.annotate(found=Count("job", distinct=True)).values("found"),
    }
    found = Grant.objects.annotate(**{name: Subquery(rows) for name, rows in asked.items()})
    row: dict[str, Any] = found.values(*asked, "quota__tokens_per_day", "quota__simultaneous").get(
        pk=grant.pk
    )
    return Use(
        tokens_per_day=row["quota__tokens_per_day"] or settings.SANDBOX_TOKENS_PER_DAY,
        simultaneous=row["quota__simultaneous"] or settings.SANDBOX_SIMULTANEOUS,
        used=row["used"] or 0,
        reserved=row["reserved"] or 0,
        unfinished=(row["alone"] or 0) + (row["jobs"] or 0),
        resets_at=datetime.combine(today + timedelta(days=1), time.min, UTC),
    )


def use_for(account: Account, release: Release) -> Use | None:
    """What the person may use of the release; None where no grant of theirs opens it."""
    try:
        return use_of(access.grant_for(account, release, tier=Tier.TRY))
    except Refusal:
        return None


def require_room(wanted: Mapping[Grant, int]) -> None:
    """Raise QUOTA_EXHAUSTED unless each grant has a place free and so many tokens left.

    Inside the transaction that then makes the runs: who asks at the same time waits for its end.
    """
    # In the order of the keys, so that two jobs over the same releases never wait for each other.
    rows = Grant.objects.select_for_update(no_key=True).filter(pk__in=[g.pk for g in wanted])
    list(rows.order_by("pk").values_list("pk"))
    for grant, tokens in wanted.items():
        use = use_of(grant)
        _require_place(use)
        _require_tokens(use, tokens)


def _require_place(use: Use) -> None:
    if use.unfinished >= use.simultaneous:
        raise _exhausted(
            f"{use.unfinished} of your requests are still waiting or running under this grant; "
            f"{use.simultaneous} at a time are allowed.",
            "Wait until one of them ends, or cancel one.",
            SOON,
        )


def _require_tokens(use: Use, tokens: int) -> None:
    if tokens <= use.left:
        return
    reserved = f", {use.reserved:,} are reserved for what runs now" if use.reserved else ""
    detail = (
        f"Your grant allows {use.tokens_per_day:,} tokens a day, prompts and answers together. "
        f"{use.used:,} of today's are used{reserved}, {use.left:,} are left; this may need "
        f"{tokens:,}. The day ends at {use.resets_at:%H:%M} UTC on "
        f"{use.resets_at.day} {use.resets_at:%B %Y}."
    )
    if tokens <= use.tokens_per_day - use.used:
        raise _exhausted(detail, "Wait until what runs now is over, or ask for less.", SOON)
    raise _exhausted(
        detail,
        "Ask for fewer tokens, come back after that, or ask a manager of this site for more.",
        use.seconds_to_reset,
    )


def _exhausted(detail: str, way_out: str, wait: int) -> Refusal:
    return Refusal(
        Code.QUOTA_EXHAUSTED,
        detail,
        way_out,
        url="/sandbox/runs/",
        headers={"Retry-After": str(wait)},
    )


def charge(run: Run, *, written: int) -> None:
    """Count what the run has come to, inside the transaction that closes it, which happens once."""
    # The day of its end: until then it was reserved, on whichever day it began.
    day: dict[str, Any] = {"grant_id": run.grant_id, "day": timezone.now().date()}
    DayOfUse.objects.get_or_create(**day)
    tokens = (run.prompt_tokens or 0) + written
    DayOfUse.objects.filter(**day).update(tokens=F("tokens") + tokens)


@transaction.atomic
def set_quota(
    grant: Grant, *, actor: Account, tokens_per_day: int | None, simultaneous: int | None
) -> Use:
    """A manager says what one grant may use; both None: what everybody may.

    Raises the Refusal NOT_ALLOWED, or INVALID with the field at fault.
    """
    if not roles.is_manager(actor):
        raise Refusal(Code.NOT_ALLOWED, "Only managers set quotas.", "Ask a manager of this site.")
    _check("tokens_per_day", tokens_per_day, MOST_TOKENS)
    _check("simultaneous", simultaneous, MOST_AT_ONCE)
    Grant.objects.select_for_update(no_key=True).get(pk=grant.pk)
    before = use_of(grant)
    if tokens_per_day is None and simultaneous is None:
        Quota.objects.filter(grant=grant).delete()
    else:
        values = {
            "tokens_per_day": tokens_per_day or settings.SANDBOX_TOKENS_PER_DAY,
            "simultaneous": simultaneous or settings.SANDBOX_SIMULTANEOUS,
        }
        Quota.objects.update_or_create(grant=grant, defaults=values)
    after = use_of(grant)
    if _limits(before) != _limits(after):
        record(
            Verb.SANDBOX_QUOTA_SET, grant, actor=actor, before=_limits(before), after=_limits(after)
        )
    return after


def _limits(use: Use) -> dict[str, int]:
    return {"tokens_per_day": use.tokens_per_day, "simultaneous": use.simultaneous}


def _check(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        text = f"Allow 1 to {most:,}, or leave it empty for what everybody may use."
        raise Refusal(Code.INVALID, text, "Correct it and try again.", fields={name: [text]})
