"""Reads of the sandbox: whose runs, which releases, which worker."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from access_requests import selectors as access
from access_requests.models import Grant, Tier
from distribution import selectors as distribution
from distribution.errors import StoreError
from distribution.models import Revision
from inference_sandbox import stream, tokens
from inference_sandbox.models import Job, Run
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

UNFINISHED = (Run.Status.QUEUED, Run.Status.RUNNING)


def queue_of(release: Release) -> str:
    """The broker's queue for the runs of a release; its workers consume no other."""
    return f"model.{release.slug}"


def runs_of(account: Account) -> "QuerySet[Run]":
    """A person's own runs, newest first."""
    return Run.objects.filter(account=account).select_related("release", "revision")


def run_of(account: Account, run_id: UUID | str) -> Run:
    """One of the person's own runs. Another person's is, to them, not there."""
    run = runs_of(account).filter(pk=run_id).first()
    if run is None:
        raise Refusal(
            Code.NOT_FOUND,
            "There is no such run among yours.",
            "Look for it in the list of your runs.",
            url="/sandbox/runs/",
        )
    return run


def jobs_of(account: Account) -> "QuerySet[Job]":
    """A person's own jobs, newest first."""
    return Job.objects.filter(account=account)


def jobs_on_pages(account: Account) -> "QuerySet[Job]":
    """The comparisons and sweeps; what was asked over the API is found among the runs."""
    return jobs_of(account).filter(kind__in=(Job.Kind.COMPARISON, Job.Kind.SWEEP))


def job_of(account: Account, job_id: UUID | str) -> Job:
    """One of the person's own jobs. Another person's is, to them, not there."""
    job = jobs_of(account).filter(pk=job_id).first()
    if job is None:
        raise Refusal(
            Code.NOT_FOUND,
            "There is no such comparison or sweep among yours.",
            "Look for it beside the sandbox's form.",
            url="/sandbox/",
        )
    return job


def ahead_of(run: Run) -> int:
    """How many runs of the same release have waited longer than this one, which waits."""
    waiting = Run.objects.filter(release=run.release_id, status=Run.Status.QUEUED)
    return waiting.filter(created_at__lt=run.created_at).count()


def release_named(name: str) -> Release:
    """The release with this slug or repo id."""
    field = "repo_id" if "/" in name else "slug"
    found = Release.objects.select_related("family").filter(**{field: name})
    release = None if "\0" in name else found.first()  # PostgreSQL takes NUL in no text
    if release is None:
        raise Refusal(
            Code.NOT_FOUND,
            f"There is no release “{name}” here.",
            "Take its slug or its repo id from the catalogue.",
            url="/releases/",
        )
    return release


def playable_releases(account: Account) -> "QuerySet[Release]":
    """The releases that the person may prompt now and that have weights here."""
    granted = {grant.release_id for grant in access.usable_grants(account)}
    with_weights = Revision.objects.filter(is_current=True, taken_down_at=None).values("release")
    return Release.objects.filter(pk__in=granted, status=Release.Status.PUBLISHED).filter(
        pk__in=with_weights
    )


def require_playable(account: Account, name: str) -> Release:
    """The named release, if the person may prompt it now. Raises Refusal with the cause."""
    release = release_named(name)
    access.grant_for(account, release, tier=Tier.TRY)
    distribution.current_revision(release)
    return release


def offers_chat(release: Release) -> bool:
    """Whether the release's tokenizer comes with a chat template."""
    from inference_sandbox.engine.tokenizer import TokenizerError

    try:
        revision = distribution.current_revision(release)
        return tokens.tokenizer_of(revision).has_chat_template
    except (StoreError, TokenizerError):
        return False  # whoever sends a prompt is told what is wrong


def standing_grant(run_id: UUID) -> Grant:
    """The grant that lets this run go on, read afresh. Raises the Refusal that ends the run."""
    runs = Run.objects.select_related("account", "release__family", "revision__release")
    run = runs.get(pk=run_id)
    distribution.require_up(run.revision)
    return access.grant_for(run.account, run.release, tier=Tier.TRY)


@dataclass(frozen=True)
class Situation:
    """Whether a release's model is up, for the page."""

    workers: list[stream.Worker]
    waiting: int

    @property
    def is_up(self) -> bool:
        return bool(self.workers)

    @property
    def is_loading(self) -> bool:
        return self.is_up and not any(worker.revision for worker in self.workers)


def situation(release: Release) -> Situation:
    """A broker that does not answer is a model that is not running."""
    try:
        return Situation(stream.workers(release.slug), stream.queue_length(queue_of(release)))
    except stream.StreamDown:
        return Situation([], 0)


def texts_of(account: Account) -> list[dict[str, Any]]:
    """Every run with its prompt and its output, for the person themself."""
    rows = Run.objects.filter(account=account).order_by("created_at")
    names = ("id", "created_at", "release__repo_id", "mode", "prompt", "output", "status", "seed")
    return list(rows.values(*names, "temperature", "top_p", "max_tokens"))
