"""How long an application waits, its place, and what the tabs of the queue hold."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from access_requests.models import DEFAULT_TARGET_DAYS, WAITS, Application, ReviewTarget
from access_requests.selectors.applications import submitted
from access_requests.selectors.second_looks import blind_to
from access_requests.selectors.witnesses import outstanding
from access_requests.workflow import (
    AWAITED_IN,
    DECIDED_STATES,
    QUEUE_STATES,
    UNCLAIMED_STATES,
    State,
)
from portal.accounts.models import Account

TABS = {
    "queue": "The queue",
    "mine": "Mine",
    "unclaimed": "Unclaimed",
    "waiting": "Waiting for the applicant",
    "evidence": "Waiting for evidence",
    "overdue": "Overdue",
    "asked": "My advice is asked",
}


@dataclass(frozen=True)
class Age:
    """How long it has waited against its target. `level`: ok, soon or over; never colour alone."""

    days: int
    target: int

    @property
    def level(self) -> str:
        left = self.target - self.days
        return "over" if left < 0 else "soon" if left <= max(1, self.target // 4) else "ok"

    @property
    def words(self) -> str:
        days = waited(self.days)
        left = self.target - self.days
        if left < 0:
            return f"{days}: {_days(-left)} over the target"
        return f"{days}: {_days(left)} left" if left else f"{days}: due today"


def waited(days: int) -> str:
    return "less than a day" if days < 1 else _days(days)


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def targets() -> dict[int, int]:
    """Family id to the days in which its applications should be decided."""
    return dict(ReviewTarget.objects.values_list("family_id", "days"))


def waiting_time(application: Application) -> timedelta | None:
    """How long it waits for its decision, or waited for the one that stands.

    None for a draft, and for what was withdrawn before it was decided.
    """
    since = application.waits_since
    if since is None:
        return None
    if application.state in AWAITED_IN:
        return timezone.now() - since
    if application.state not in DECIDED_STATES or application.decided_at is None:
        return None
    if application.appealed_at and application.decided_at < application.appealed_at:
        since = application.submitted_at or since  # the appeal was withdrawn: the refusal stands
    return application.decided_at - since


def age_of(application: Application) -> Age | None:
    """None for what waits for no decision. No query of its own for applications read `with_parts`."""
    waits = waiting_time(application)
    if waits is None or application.state not in AWAITED_IN:
        return None
    own = getattr(application.family, "review_target", None)
    target = own.days if own else DEFAULT_TARGET_DAYS
    return Age(waits.days, target)


def in_order(applications: Any) -> Any:
    """What waits longest first."""
    return applications.annotate(waits=WAITS).order_by("waits", "pk")


def review_queue(account: Account) -> "QuerySet[Application]":
    """What waits for a decision; without what this person is recused from."""
    waiting = submitted().filter(state__in=QUEUE_STATES).exclude(recusals__reviewer=account)
    found: QuerySet[Application] = in_order(waiting.exclude(pk__in=blind_to(account)))
    return found


def queue_position(application: Application) -> int | None:
    """1 for the application that waits longest; None when it is not in the queue."""
    at = application.waits_since
    if application.state not in QUEUE_STATES or at is None:
        return None
    before = Q(waits__lt=at) | Q(waits=at, pk__lt=application.pk)
    waiting = Application.objects.filter(state__in=QUEUE_STATES).annotate(waits=WAITS)
    return waiting.filter(before).count() + 1


def queue_length() -> int:
    return Application.objects.filter(state__in=QUEUE_STATES, submitted_at__isnull=False).count()


def overdue() -> Q:
    """In the queue for longer than its family's target."""
    now, known = timezone.now(), targets()
    late = Q(waits__lt=now - timedelta(days=DEFAULT_TARGET_DAYS + 1)) & ~Q(family__in=known)
    for family, days in known.items():
        late |= Q(family=family, waits__lt=now - timedelta(days=days + 1))
    return Q(state__in=QUEUE_STATES) & late


def in_tab(applications: "QuerySet[Application]", tab: str, account: Account) -> Any:
    """The applications of one tab, for this person: without those they are recused from."""
    return _for(applications, account).filter(_tabs(account)[tab])


def tab_counts(account: Account) -> dict[str, int]:
    """How many each tab holds; one query."""
    tabs = _tabs(account)
    live = _for(Application.objects.filter(state__in=AWAITED_IN), account)
    counts: dict[str, int] = live.aggregate(
        **{tab: Count("pk", filter=rule) for tab, rule in tabs.items()}
    )
    return counts


def _for(applications: Any, account: Account) -> Any:
    recused = account.recusals.values("application")
    waiting = applications.annotate(waits=WAITS)
    return (
        waiting.exclude(submitted_at=None).exclude(pk__in=recused).exclude(pk__in=blind_to(account))
    )


def _tabs(account: Account) -> dict[str, Q]:
    asked = account.opinions.filter(kind="review", advice="").values("application")
    live = Q(state__in=AWAITED_IN)
    return {
        "queue": Q(state__in=QUEUE_STATES),
        "mine": Q(claimed_by=account) & live,
        "unclaimed": Q(state__in=UNCLAIMED_STATES) & ~Q(applicant=account),
        "waiting": Q(state=State.RETURNED),
        "evidence": outstanding(),
        "overdue": overdue(),
        "asked": Q(pk__in=asked) & live,
    }


def next_for(account: Account, after: Application | None = None) -> Application | None:
    """What this person reviews next: their own claims first, then what nobody holds; oldest first.

    `after`: the one on screen, which is not offered again.
    """
    live = in_order(in_tab(Application.objects.all(), "queue", account).exclude(applicant=account))
    if after is not None:
        live = live.exclude(pk=after.pk)
    mine = live.filter(claimed_by=account).first()
    if mine and after and after.claimed_by_id == account.pk:
        # Through one's claims in their order, and from the last of them on to what is unclaimed.
        later = live.filter(claimed_by=account, waits__gte=after.waits_since)
        mine = later.exclude(waits=after.waits_since, pk__lt=after.pk).first()
    endorsed = account.reviews.filter(outcome="endorsed").values("application")
    refused = account.reviews.filter(outcome="refused").values("application")
    free = live.filter(state__in=UNCLAIMED_STATES).exclude(pk__in=endorsed).exclude(pk__in=refused)
    found: Application | None = mine or free.first()
    return found
