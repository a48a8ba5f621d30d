"""Several prompts as one job: side by side, or over a grid. And the end of all of them."""

from collections.abc import Sequence
from itertools import product
from typing import Unpack
from uuid import UUID

from django.template.defaultfilters import pluralize

from inference_sandbox import selectors, services
from inference_sandbox.asking import Asked, invalid
from inference_sandbox.models import Job
from portal.accounts.models import Account
from portal.catalog.models import Release

LEAST_COLUMNS, MOST_COLUMNS = 2, 4
MOST_CELLS = 64


def compare(*, actor: Account, columns: Sequence[tuple[Release, Asked]]) -> Job:
    """One prompt to several releases, or in several settings, at the same time."""
    if not LEAST_COLUMNS <= len(columns) <= MOST_COLUMNS:
        raise invalid(
            "columns",
            f"Fill {LEAST_COLUMNS} to {MOST_COLUMNS} columns; {len(columns)} "
            f"{'is' if len(columns) == 1 else 'are'} filled.",
        )
    return services.create_job(actor=actor, kind=Job.Kind.COMPARISON, asked=columns)


def sweep(
    *,
    actor: Account,
    release: Release,
    temperatures: Sequence[float],
    seeds: Sequence[int],
    **asked: Unpack[Asked],
) -> Job:
    """One prompt at each of the temperatures with each of the seeds."""
    cells = len(temperatures) * len(seeds)
    if not 1 <= cells <= MOST_CELLS:
        raise invalid(
            "seeds",
            f"{len(temperatures)} temperature{pluralize(temperatures)} × {len(seeds)} "
            f"seed{pluralize(seeds)} are {cells} runs; a sweep has at most {MOST_CELLS}. Take "
            "fewer of either.",
        )
    grid: list[tuple[Release, Asked]] = [
        (release, {**asked, "temperature": temperature, "seed": seed})
        for temperature, seed in product(temperatures, seeds)
    ]
    return services.create_job(actor=actor, kind=Job.Kind.SWEEP, asked=grid)


def cancel(job_id: UUID, *, actor: Account) -> Job:
    """End every run of the actor's job that is not over; those that are stay as they are."""
    job = selectors.job_of(actor, job_id)
    unfinished = job.runs.filter(status__in=selectors.UNFINISHED)
    # From the last to the first: the worker takes none up that is about to be ended.
    for run_id in unfinished.order_by("-position").values_list("pk", flat=True):
        services.cancel(run_id, actor=actor)
    return job
