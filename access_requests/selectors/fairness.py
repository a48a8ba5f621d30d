"""Numbers by which one can see whether decisions treat groups alike."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import NamedTuple

from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from access_requests.models import Application, Opinion, Review, SecondLook
from portal.accounts.models import Account

SMALL_GROUP = 5  # fewer say something about people, not about groups
MOST = 10_000  # decisions of one report; numbers of that many change no more by older ones


class Decision(NamedTuple):
    category: str
    region: str
    reviewer: int
    outcome: str
    days: float


@dataclass(frozen=True)
class Row:
    name: str
    decisions: int
    approved_percent: int
    median_days: float
    p90_days: float


@dataclass(frozen=True)
class Table:
    by: str
    rows: list[Row]
    hidden: int  # groups that are too small to show


@dataclass(frozen=True)
class Agreement:
    pairs: int
    same: int

    @property
    def percent(self) -> int:
        return round(100 * self.same / self.pairs) if self.pairs else 0


@dataclass(frozen=True)
class Report:
    decided: int
    is_cut: bool  # there may be older decisions in that time, which are not counted
    tables: list[Table]
    agreement: Agreement
    blind: Agreement  # of these, the second looks that were drawn at random
    waiting: int  # second looks that are not given yet


def fairness_of(days: int) -> Report:
    """The decisions of the last `days` days, in groups; of more than MOST, the newest."""
    since = timezone.now() - timedelta(days=days)
    decisions = _decisions(since)
    reviewers = {one.reviewer for one in decisions}
    names = {one.pk: str(one) for one in Account.objects.filter(pk__in=reviewers)}
    tables = [
        _table("category", decisions, lambda one: one.category or "not said"),
        _table("region", decisions, lambda one: one.region or "not known"),
        _table("reviewer", decisions, lambda one: names[one.reviewer]),
    ]
    waiting = SecondLook.objects.filter(outcome=SecondLook.Outcome.OPEN).count()
    is_cut = len(decisions) == MOST
    return Report(len(decisions), is_cut, tables, agreement(since), blind_agreement(since), waiting)


def _decisions(since: datetime) -> list[Decision]:
    """Each decision once: of one that was appealed, both, each by who made it. Newest first."""
    rows = Review.objects.filter(
        closed_at__gte=since,
        outcome__in=[Review.Outcome.APPROVED, Review.Outcome.REFUSED],
        days__isnull=False,
    ).values_list("category", "region", "reviewer", "outcome", "days")
    return [Decision._make(row) for row in rows.order_by("-closed_at")[:MOST]]


def _table(by: str, decisions: list[Decision], key: Callable[[Decision], str]) -> Table:
    groups: dict[str, list[Decision]] = defaultdict(list)
    for one in decisions:
        groups[key(one)].append(one)
    shown = [_row(name, found) for name, found in groups.items() if len(found) >= SMALL_GROUP]
    return Table(by, sorted(shown, key=lambda row: row.name), len(groups) - len(shown))


def _row(name: str, decisions: list[Decision]) -> Row:
    days = [one.days for one in decisions]
    approved = sum(one.outcome == Review.Outcome.APPROVED for one in decisions)
    return Row(
        name,
        len(decisions),
        round(100 * approved / len(decisions)),
        median(days),
        quantiles(days, n=10, method="inclusive")[-1],
    )


def agreement(since: datetime) -> Agreement:
    """How often a second person came to the first one's result."""
    return _agreement([*_in_a_row(since), *_advice(since), *_blind(since)])


def blind_agreement(since: datetime) -> Agreement:
    """The same for second looks alone, whose reviewers did not know the first result."""
    return _agreement(list(_blind(since)))


def _agreement(pairs: list[tuple[bool, bool | None]]) -> Agreement:
    return Agreement(len(pairs), sum(first == second for first, second in pairs))


def _blind(since: datetime) -> Iterable[tuple[bool, bool | None]]:
    """A second look that would return the application agrees with neither result."""
    results = {SecondLook.Outcome.APPROVE: True, SecondLook.Outcome.REFUSE: False}
    given = SecondLook.objects.filter(answered_at__gte=since).exclude(
        outcome=SecondLook.Outcome.RECUSED
    )
    for outcome, second in given.values_list("review__outcome", "outcome"):
        yield outcome == Review.Outcome.APPROVED, results.get(SecondLook.Outcome(second))


def _in_a_row(since: datetime) -> Iterable[tuple[bool, bool]]:
    """Two results in a row on one application: two approvals, or a refusal and its appeal."""
    results = {
        Review.Outcome.APPROVED: True,
        Review.Outcome.ENDORSED: True,
        Review.Outcome.REFUSED: False,
    }
    # Nearly all applications have one result; only these can have a second.
    endorsed = Review.objects.filter(outcome=Review.Outcome.ENDORSED, closed_at__gte=since)
    appealed = Application.objects.filter(appealed_at__isnull=False)
    twice = Q(application__in=endorsed.values("application")) | Q(application__in=appealed)
    rows = Review.objects.filter(
        twice, outcome__in=list(results), closed_at__gte=since
    ).values_list("application", "reviewer", "outcome")
    before: dict[int, tuple[int, bool]] = {}
    for application, reviewer, outcome in rows.order_by("application", "closed_at", "pk"):
        result = results[Review.Outcome(outcome)]
        first = before.get(application)
        if first and first[0] != reviewer:
            yield first[1], result
        before[application] = (reviewer, result)


def _advice(since: datetime) -> Iterable[tuple[bool, bool]]:
    """What a colleague advised, beside the decision that followed; not beside one that was made before."""
    decided = Review.objects.filter(outcome__in=[Review.Outcome.APPROVED, Review.Outcome.REFUSED])
    given = Opinion.objects.filter(
        advice__in=[Opinion.Advice.APPROVE, Opinion.Advice.REFUSE],
        answered_at__isnull=False,
        application__in=decided.filter(closed_at__gte=since).values("application"),
    )
    decisions = decided.filter(
        application=OuterRef("application"), closed_at__gte=OuterRef("answered_at")
    ).order_by("closed_at")
    followed = given.annotate(
        outcome=Subquery(decisions.values("outcome")[:1]),
        decided_at=Subquery(decisions.values("closed_at")[:1]),
    ).filter(decided_at__gte=since)
    for advice, outcome in followed.values_list("advice", "outcome"):
        yield advice == Opinion.Advice.APPROVE, outcome == Review.Outcome.APPROVED
