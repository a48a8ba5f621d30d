"""Reads of the sandbox: whose runs, which releases, which worker."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from access_requests import selectors as access
from access_requests.models import Grant, Tier
from distribution import selectors as distribution
from distribution.errors import StoreError
from distribution.models import Revision
from inference_sandbox import stream, tokens
from inference_sandbox.models import Job, Report, Run
from inference_sandbox.records import record_of
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

UNFINISHED = (Run.Status.QUEUED, Run.Status.RUNNING)


def queue_of(release: Release) -> str:
    """The broker's queue for the runs of a release; its workers consume no other."""
    return f"model.{release.slug}"


def runs_of(account: Account) -> "QuerySet[Run]":
    """A person's own runs, newest first."""
    own = Run.objects.filter(account=account, deleted_at=None)
    return own.select_related("release", "revision__release")


def runs_found(account: Account, *, words: str, status: str, release: str) -> "QuerySet[Run]":
    """Those whose prompt, answer or note has each of the words; empty: no matter."""
    found = runs_of(account)
    for word in words.replace("\0", " ").split():
        texts = ("prompt", "output", "note")
        found = found.filter(Q(*((f"{name}__icontains", word) for name in texts), _connector=Q.OR))
    if status in Run.Status.values:
        found = found.filter(status=status)
    return found.filter(release__slug=release) if release else found


def run_of(account: Account, run_id: UUID | str) -> Run:
    """One of the person's own runs. Another person's is, to them, not there."""
    run = runs_of(account).filter(pk=run_id).first()
    if run is None:
        raise _no_such_run()
    return run


def run_visible_to(viewer: Account, run_id: UUID | str) -> Run:
    """A run of the viewer's own, or one shared with all who may prompt its release, as they may."""
    rows = Run.objects.select_related("release__family", "revision__release", "account")
    run = rows.filter(pk=run_id, deleted_at=None).first()
    if run is None or (run.account_id != viewer.pk and not run.shared):
        raise _no_such_run()
    if run.account_id != viewer.pk:
        try:
            access.grant_for(viewer, run.release, tier=Tier.TRY)
        except Refusal as refusal:  # which would say that the run is there
            raise _no_such_run() from refusal
    return run


def seen_among(viewer: Account, run_ids: Iterable[UUID | None]) -> set[UUID]:
    """Those of the runs that the viewer may see."""
    seen = set()
    for run_id in filter(None, run_ids):
        try:
            seen.add(run_visible_to(viewer, run_id).pk)
        except Refusal:
            continue
    return seen


def _no_such_run() -> Refusal:
    return Refusal(
        Code.NOT_FOUND,
        "There is no such run among yours.",
        "Look for it in the list of your runs.",
        url="/sandbox/runs/",
    )


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


def unfinished_runs(release: Release, revision: Revision | None = None) -> "QuerySet[Run]":
    """Everybody's runs of the release, or of one revision of it, that are queued or running."""
    runs = Run.objects.filter(release=release, status__in=UNFINISHED)
    return runs.filter(revision=revision) if revision else runs


def ahead_of(run: Run) -> int:
    """How many runs of the same release have waited longer than this one, which waits."""
    waiting = Run.objects.filter(release=run.release_id, status=Run.Status.QUEUED)
    return waiting.filter(created_at__lt=run.created_at).count()


def release_named(name: str) -> Release:
    """The release with this slug or repo id, the latter in any case."""
    field = "repo_id__iexact" if "/" in name else "slug"
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
    """The releases that the person may prompt now and that have weights here which can be run."""
    granted = {grant.release_id for grant in access.usable_grants(account)}
    current = Revision.objects.filter(is_current=True, taken_down_at=None)
    with_weights = distribution.runnable(current).values("release")
    return Release.objects.filter(pk__in=granted, status=Release.Status.PUBLISHED).filter(
        pk__in=with_weights
    )


def unrunnable_revisions(account: Account) -> list[Revision]:
    """The current revisions that the person's grants open, and that the sandbox cannot run."""
    granted = {grant.release_id for grant in access.usable_grants(account)}
    current = Revision.objects.filter(is_current=True, taken_down_at=None, release__in=granted)
    published = current.filter(release__status=Release.Status.PUBLISHED).select_related("release")
    return [revision for revision in published if revision.sandbox_note]


def require_playable(account: Account, name: str) -> Release:
    """The named release, if the person may prompt it now. Raises Refusal with the cause."""
    release = release_named(name)
    access.grant_for(account, release, tier=Tier.TRY)
    distribution.require_runnable(distribution.current_revision(release))
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
    waiting: int  # requests that wait for a slot, in the queue or at a worker

    @property
    def is_up(self) -> bool:
        return bool(self.workers)

    @property
    def running(self) -> int:
        return sum(worker.running for worker in self.workers)

    @property
    def slots(self) -> int:
        return sum(worker.slots for worker in self.workers)

    @property
    def is_loading(self) -> bool:
        return self.is_up and not any(worker.revision for worker in self.workers)


def situation(release: Release) -> Situation:
    """A broker that does not answer is a model that is not running."""
    try:
        workers, queued = stream.workers(release.slug), stream.queue_length(queue_of(release))
    except stream.StreamDown:
        return Situation([], 0)
    return Situation(workers, queued + sum(worker.waiting for worker in workers))


def texts_of(account: Account) -> list[dict[str, Any]]:
    """Every run as a record, for the person themself."""
    rows = Run.objects.filter(account=account).select_related("release", "revision")
    return [record_of(run) for run in rows.order_by("created_at").iterator()]


def reports_of(account: Account) -> list[dict[str, Any]]:
    """What the person reported, and what the managers answered."""
    rows = Report.objects.filter(reporter=account).order_by("created_at")
    names = ("run_id", "kind", "text", "created_at", "closed_at", "answer")
    return [dict(row) for row in rows.values(*names)]
