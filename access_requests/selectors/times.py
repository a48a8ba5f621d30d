"""How long decisions take: what an applicant may expect."""

from dataclasses import dataclass
from datetime import timedelta
from statistics import median, quantiles

from django.utils import timezone

from access_requests.models import Review

WINDOW_DAYS = 90
AT_LEAST = 5  # decisions; fewer say nothing


@dataclass(frozen=True)
class Times:
    """Days from the first submission, or from the appeal, to the decision."""

    median_days: float
    p90_days: float


def time_to_decision() -> Times | None:
    """Of the last 90 days' decisions, an appeal's beside the first one's; None if they were too few.

    One query over an index: each review keeps its days. The arithmetic is done here, for databases
    differ in how they interpolate.
    """
    decided = Review.objects.filter(
        closed_at__gte=timezone.now() - timedelta(days=WINDOW_DAYS),
        outcome__in=[Review.Outcome.APPROVED, Review.Outcome.REFUSED],
    )
    kept = decided.order_by().values_list("days", flat=True)
    days = [value for value in kept if value is not None]
    if len(days) < AT_LEAST:
        return None
    return Times(median(days), quantiles(days, n=10, method="inclusive")[-1])
