"""Prompts and answers are kept as long as this site says, and then they go."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from inference_sandbox.emptying import empty
from inference_sandbox.models import Run
from inference_sandbox.reports import open_reports
from inference_sandbox.selectors import UNFINISHED
from portal.audit.models import Verb
from portal.audit.services import record

AT_ONCE = 200  # runs of one transaction


def kept_until(run: Run) -> datetime | None:
    """When the texts of the run go; None where this site keeps them for ever."""
    if not settings.SANDBOX_KEEP_DAYS:
        return None
    return run.created_at + timedelta(days=settings.SANDBOX_KEEP_DAYS)


def empty_old_runs() -> int:
    """Empty the runs that have reached their age, but those that a manager has to look at."""
    if not settings.SANDBOX_KEEP_DAYS:
        return 0
    count = 0
    while done := _empty_some():
        count += done
    return count


@transaction.atomic
def _empty_some() -> int:
    limit = timezone.now() - timedelta(days=settings.SANDBOX_KEEP_DAYS)
    old = Run.objects.filter(emptied_at=None, created_at__lt=limit).exclude(status__in=UNFINISHED)
    waiting = Exists(open_reports().filter(run=OuterRef("pk")))
    some = list(
        old.exclude(waiting).select_for_update(of=("self",)).order_by("created_at")[:AT_ONCE]
    )
    for run in some:
        record(Verb.RUN_EMPTIED, run, actor=None)
    return empty(Run.objects.filter(pk__in=[run.pk for run in some]))
