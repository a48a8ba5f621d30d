"""How long an application may wait, and what the tabs of the queue hold."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from access_requests.models import DEFAULT_TARGET_DAYS, Application, ReviewTarget
from access_requests.selectors.second_looks import blind_to
from access_requests.selectors.witnesses import outstanding
from access_requests.workflow import QUEUE_STATES, UNCLAIMED_STATES, State
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
        days = "less than a day" if self.days < 1 else _days(self.days)
        left = self.target - self.days
        if left < 0:
            return f"{days}: {_days(-left)} over the target"
        return f"{days}: {_days(left)} left" if left else f"{days}: due today"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def targets() -> dict[int, int]:
    """Family id to the days in which its applications should be decided."""
    return dict(ReviewTarget.objects.values_list("family_id", "days"))


def age_of(application: Application) -> Age | None:
    """None for a draft, for what is decided, and for what was withdrawn. No query of its own for
    applications read `with_parts`.
    """
    since = application.waits_since
    if since is None or application.state not in (*QUEUE_STATES, State.RETURNED):
        return None
    own = getattr(application.family, "review_target", None)
    target = own.days if own else DEFAULT_TARGET_DAYS
    return Age((timezone.now() - since).days, target)


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
    live = _for(Application.objects.filter(state__in=[*QUEUE_STATES, State.RETURNED]), account)
    counts: dict[str, int] = live.aggregate(
        **{tab: Count("pk", filter=rule) for tab, rule in tabs.items()}
    )
    return counts


def _for(applications: Any, account: Account) -> Any:
    recused = account.recusals.values("application")
    waiting = applications.annotate(waits=Coalesce(F("appealed_at"), F("submitted_at")))
    return (
        waiting.exclude(submitted_at=None).exclude(pk__in=recused).exclude(pk__in=blind_to(account))
    )


def _tabs(account: Account) -> dict[str, Q]:
    asked = account.opinions.filter(kind="review", advice="").values("application")
    live = Q(state__in=[*QUEUE_STATES, State.RETURNED])
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
    live = in_tab(Application.objects.all(), "queue", account).exclude(applicant=account)
    if after is not None:
        live = live.exclude(pk=after.pk)
    mine = live.filter(claimed_by=account).order_by("waits", "pk").first()
    if mine and after and after.claimed_by_id == account.pk:
        # Through one's claims in their order, and from the last of them on to what is unclaimed.
        later = live.filter(claimed_by=account, waits__gte=after.waits_since)
        mine = (
            later.exclude(waits=after.waits_since, pk__lt=after.pk).order_by("waits", "pk").first()
        )
    endorsed = account.reviews.filter(outcome="endorsed").values("application")
    refused = account.reviews.filter(outcome="refused").values("application")
    free = live.filter(state__in=UNCLAIMED_STATES).exclude(pk__in=endorsed).exclude(pk__in=refused)
    found: Application | None = mine or free.order_by("waits", "pk").first()
    return found
