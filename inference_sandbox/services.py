"""What a person does with a run: start it, cancel it. And the sweep that loses none."""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Unpack
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from access_requests import selectors as access
from access_requests.models import Grant, Tier
from distribution import selectors as distribution
from distribution.models import Revision
from inference_sandbox import quotas, selectors, stream
from inference_sandbox.answer import Answer
from inference_sandbox.asking import Asked, check, invalid
from inference_sandbox.closing import close
from inference_sandbox.models import Job, Run, RunTokens
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.selectors import history
from portal.audit.services import record
from portal.catalog.models import Release
from portal.queue import enqueue_on_commit
from portal.refusals import Refusal

MOST_RUNS_OF_A_JOB = 256
PATIENCE = timedelta(seconds=20)  # a queued run younger than this is on its way, not lost


def create_run(
    *,
    actor: Account,
    release: Release,
    revision: Revision | None = None,
    prefix: Sequence[Any] = (),
    **asked: Unpack[Asked],
) -> Run:
    """Queue a prompt for the release's current revision. Raises Refusal, naming the field at fault.

    What may be asked, and its bounds: `asking.Asked`. A seed is made, and kept with the run, where
    none is given. revision: another one of the release that is up. prefix: the records
    (`RunTokens`) of the tokens in `forced`, where they are known.
    """
    grant, revision = let_in(actor, release, revision)
    checked = check(revision, asked)
    with _denial_recorded(actor, release), transaction.atomic():
        quotas.require_room({grant: _bound(checked)})
        return _create(actor, grant, revision, checked, prefix)


def create_job(*, actor: Account, kind: Job.Kind, asked: Sequence[tuple[Release, Asked]]) -> Job:
    """Queue several prompts as one job: all, or none with the Refusal of the first at fault."""
    if not 1 <= len(asked) <= MOST_RUNS_OF_A_JOB:
        raise invalid(
            "prompt", f"Ask for 1 to {MOST_RUNS_OF_A_JOB} runs at once, not {len(asked)}."
        )
    doors = {release: let_in(actor, release) for release, _ in asked}
    checked = [(*doors[release], check(doors[release][1], each)) for release, each in asked]
    wanted: Counter[Grant] = Counter()
    for grant, _, each in checked:
        wanted[grant] += _bound(each)
    with _denial_recorded(actor, asked[0][0]), transaction.atomic():
        quotas.require_room(wanted)
        job = Job.objects.create(account=actor, kind=kind)
        for position, (grant, revision, each) in enumerate(checked):
            _create(actor, grant, revision, each, (), job=job, position=position)
    return job


def let_in(
    actor: Account, release: Release, revision: Revision | None = None
) -> tuple[Grant, Revision]:
    """What opens the release to a prompt now. Raises the Refusal with the cause, and records it."""
    with _denial_recorded(actor, release):
        grant = access.grant_for(actor, release, tier=Tier.TRY)
        current = distribution.current_revision(release)  # none: the release is not out at all
        if revision is not None:
            distribution.require_up(revision)
        distribution.require_runnable(revision or current)
        return grant, revision or current


def _bound(checked: dict[str, Any]) -> int:
    """The most tokens that the run may come to."""
    tokens: int = checked["prompt_tokens"] + checked["max_tokens"]
    return tokens


def _create(
    actor: Account,
    grant: Grant,
    revision: Revision,
    checked: dict[str, Any],
    prefix: Sequence[Any],
    **place: Any,
) -> Run:
    run = Run.objects.create(
        account=actor,
        grant=grant,
        release=revision.release,
        revision=revision,
        **place,
        **{"seed": secrets.randbelow(2**32), **checked},
    )
    if prefix:
        RunTokens.objects.create(run=run, output=list(prefix))
    record(Verb.RUN_STARTED, run, actor=actor, revision=revision.digest, grant=grant.pk)
    _enqueue(run)
    return run


def cancel(run_id: UUID, *, actor: Account) -> Run:
    """End the actor's run: at once where no worker holds it, else between two tokens.

    Cancelling twice, or a run that is over, changes nothing.
    """
    run = selectors.run_of(actor, run_id)
    if run.is_over:
        return run
    in_hand = bool(stream.leased([run.pk]))
    answer = Answer.so_far(run.pk)
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run.pk)
        if run.is_over:
            return run
        if not history(run).filter(verb=Verb.RUN_CANCELLED).exists():
            record(Verb.RUN_CANCELLED, run, actor=actor)
        if run.status == Run.Status.QUEUED or not in_hand:
            _end_unanswered(run, answer)
            run.refresh_from_db()
    # Told to the worker last, so that it never ends a run before its cancelling is on record.
    stream.ask_cancel(run.pk)
    return run


def requeue_lost_runs() -> int:
    """Hand the unfinished runs that neither a worker nor the broker has to the broker again.

    A run is lost when its worker was killed or its broker lost its memory. One that is handed over
    twice is answered once: the lease sees to that.
    """
    unfinished = Run.objects.filter(status__in=selectors.UNFINISHED).select_related("release")
    ripe = [run for run in unfinished if _is_ripe(run)]
    held = stream.leased(run.pk for run in ripe)
    queues = {selectors.queue_of(run.release) for run in ripe}
    waiting = {run_id for queue in queues for run_id in stream.waiting(queue)}
    lost = [run for run in ripe if run.pk not in held and str(run.pk) not in waiting]
    for run in lost:
        _enqueue(run)
    return len(lost)


def _is_ripe(run: Run) -> bool:
    return run.status == Run.Status.RUNNING or run.created_at < timezone.now() - PATIENCE


def _enqueue(run: Run) -> None:
    from inference_sandbox import tasks  # tasks call services

    enqueue_on_commit(tasks.generate, str(run.pk), queue=selectors.queue_of(run.release))


def _end_unanswered(run: Run, answer: Answer) -> None:
    """Cancel a run that no worker is answering; what an earlier worker wrote is kept."""
    close(run, answer.end(Run.Status.CANCELLED, "cancelled"))
    end = {"status": answer.status, "finish_reason": answer.finish_reason, "error": ""}
    # robust: the run is cancelled even if its readers learn of it later, from the row.
    transaction.on_commit(lambda: stream.append_end(run.pk, **end), robust=True)


@contextmanager
def _denial_recorded(actor: Account, release: Release) -> Iterator[None]:
    """Every closed door is an event; it is written outside the act, which is rolled back."""
    try:
        yield
    except Refusal as refusal:
        record(Verb.RUN_DENIED, release, actor=actor, code=refusal.code)
        raise
