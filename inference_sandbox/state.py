"""What the state of the site says about the sandbox: how many runs wait, and for how long."""

from collections.abc import Iterable
from datetime import timedelta

from django.template.defaultfilters import pluralize
from django.utils import timezone

from inference_sandbox.models import Run
from portal.state import Line, age, part

LATE = timedelta(minutes=5)


@part("Sandbox")
def sandbox() -> Iterable[Line]:
    queued = Run.objects.filter(status=Run.Status.QUEUED)
    oldest = queued.order_by("created_at").values_list("created_at", flat=True).first()
    yield Line("Running", _runs(Run.objects.filter(status=Run.Status.RUNNING).count()))
    if oldest is None:
        yield Line("Waiting", "none")
        return
    late = timezone.now() - oldest > LATE
    text = f"{_runs(queued.count())}, the oldest from {age(oldest)}"
    yield Line("Waiting", text, "warn" if late else "ok")


def _runs(count: int) -> str:
    return f"{count} run{pluralize(count)}"
