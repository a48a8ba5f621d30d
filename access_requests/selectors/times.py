"""How long decisions take: what an applicant may expect."""

from dataclasses import dataclass
from datetime import timedelta
from statistics import median, quantiles

from django.utils import timezone

from access_requests.models import Application
from access_requests.workflow import DECIDED_STATES

WINDOW_DAYS = 90
AT_LEAST = 5  # decisions; fewer say nothing


@dataclass(frozen=True)
class Times:
    """Days from the first submission, or from the appeal, to the decision."""

    median_days: float
    p90_days: float


def time_to_decision() -> Times | None:
    """Of the last 90 days' decisions; None if they were too few. One query.

    The arithmetic is done here, for databases differ in how they subtract and interpolate times.
    """
    decided = Application.objects.filter(
        state__in=DECIDED_STATES,
        submitted_at__isnull=False,
        decided_at__gte=timezone.now() - timedelta(days=WINDOW_DAYS),
    ).values_list("submitted_at", "appealed_at", "decided_at")
    days = []
    for submitted, appealed, end in decided.iterator(chunk_size=5000):
        if submitted is None or end is None:
            continue
        # An appeal that was taken back leaves the first decision, which is older than it.
        begun = appealed if appealed and appealed < end else submitted
        days.append((end - begun).total_seconds() / 86400)
    if len(days) < AT_LEAST:
        return None
    return Times(median(days), quantiles(days, n=10, method="inclusive")[-1])
