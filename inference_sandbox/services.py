"""What a person does with a run: start it, cancel it. And the sweep that loses none."""

import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from access_requests import selectors as access
from access_requests.models import Tier
from distribution import selectors as distribution
from distribution.errors import StoreError
from distribution.models import Revision
from inference_sandbox import selectors, stream, tokens
from inference_sandbox.models import Run
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.selectors import history
from portal.audit.services import record
from portal.catalog.models import Release
from portal.queue import enqueue_on_commit
from portal.refusals import Code, Refusal

MOST_UNFINISHED = 4  # runs of one account
MAX_SEED = 2**63 - 1
# More than any token has: a prompt beyond it is too long, and costs nothing to be counted.
CHARACTERS_OF_A_TOKEN = 128
PATIENCE = timedelta(seconds=20)  # a queued run younger than this is on its way, not lost


def create_run(
    *,
    actor: Account,
    release: Release,
    mode: str,
    prompt: str,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int | None = None,
) -> Run:
    """Queue a prompt for the release's current revision. Raises Refusal, naming the field at fault.

    temperature: 0 to 2, 0 takes the likeliest token each time. top_p: above 0, at most 1.
    max_tokens: of the answer. seed: made, and kept with the run, where none is given.
    """
    with _denial_recorded(actor, release):
        grant = access.grant_for(actor, release, tier=Tier.TRY)
        revision = distribution.current_revision(release)
    _check_numbers(temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed)
    prompt_tokens = _count(revision, release, mode=mode, prompt=prompt, max_tokens=max_tokens)
    with _denial_recorded(actor, release), transaction.atomic():
        _check_quota(actor)
        run = Run.objects.create(
            account=actor,
            grant=grant,
            release=release,
            revision=revision,
            mode=mode,
            prompt=prompt,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            seed=secrets.randbelow(2**32) if seed is None else seed,
            prompt_tokens=prompt_tokens,
        )
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
    written = stream.tokens_so_far(run.pk)
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run.pk)
        if run.is_over:
            return run
        if run.status == Run.Status.QUEUED or not in_hand:
            _end_unanswered(run, written)
        if not history(run).filter(verb=Verb.RUN_CANCELLED).exists():
            record(Verb.RUN_CANCELLED, run, actor=actor)
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


def _end_unanswered(run: Run, written: list[stream.Entry]) -> None:
    """Cancel a run that no worker is answering; what an earlier worker wrote is kept."""
    run.status = Run.Status.CANCELLED
    run.finish_reason = "cancelled"
    run.output = "".join(entry.data["x"] for entry in written)
    run.output_tokens = sum(entry.data["t"] is not None for entry in written)
    run.finished_at = timezone.now()
    run.save(update_fields=["status", "finish_reason", "output", "output_tokens", "finished_at"])
    end = {"status": run.status, "finish_reason": run.finish_reason, "error": ""}
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


def _check_quota(actor: Account) -> None:
    # Two prompts at once count one after the other.
    Account.objects.select_for_update().get(pk=actor.pk)
    unfinished = Run.objects.filter(account=actor, status__in=selectors.UNFINISHED).count()
    if unfinished >= MOST_UNFINISHED:
        raise Refusal(
            Code.QUOTA_EXHAUSTED,
            f"{unfinished} of your runs are still waiting or running; {MOST_UNFINISHED} at a time "
            "are allowed.",
            "Wait until one of them ends, or cancel one.",
            url="/sandbox/runs/",
        )


def _check_numbers(*, temperature: float, top_p: float, max_tokens: int, seed: int | None) -> None:
    # Written so that NaN, which compares false with everything, is refused.
    if not (math.isfinite(temperature) and 0 <= temperature <= 2):
        raise _invalid("temperature", f"The temperature must be from 0 to 2, not {temperature}.")
    if not 0 < top_p <= 1:
        raise _invalid("top_p", f"Top-p must be above 0 and at most 1, not {top_p}.")
    most = settings.SANDBOX_MAX_TOKENS
    if not 1 <= max_tokens <= most:
        raise _invalid("max_tokens", f"Ask for 1 to {most} tokens, not {max_tokens}.")
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise _invalid("seed", f"The seed must be from 0 to {MAX_SEED}, not {seed}.")


def _count(revision: Revision, release: Release, *, mode: str, prompt: str, max_tokens: int) -> int:
    """How many tokens the prompt has, as the model will read it; refused if they do not fit."""
    limit = tokens.context_limit(release)
    _check_text(prompt, most=limit * CHARACTERS_OF_A_TOKEN, limit=limit)
    count = len(_encode(revision, mode, prompt))
    if count >= limit:
        raise _too_long(
            "prompt",
            f"The prompt has {count:,} tokens; {release.name} takes {limit:,} here, prompt and "
            "answer together.",
            f"Shorten the prompt to fewer than {limit:,} tokens.",
        )
    if count + max_tokens > limit:
        raise _too_long(
            "max_tokens",
            f"The prompt has {count:,} tokens and you ask for {max_tokens:,} more; together "
            f"{release.name} takes {limit:,} here.",
            f"Ask for at most {limit - count:,} tokens, or shorten the prompt.",
        )
    return count


def _check_text(prompt: str, *, most: int, limit: int) -> None:
    if len(prompt) > most:
        raise _too_long(
            "prompt",
            f"The prompt has {len(prompt):,} characters, far more than the {limit:,} tokens that "
            "fit here, prompt and answer together.",
            f"Shorten the prompt to fewer than {limit:,} tokens.",
        )
    if not prompt.strip():
        raise _invalid("prompt", "The prompt is empty: write what the model shall go on from.")
    if "\x00" in prompt or any("\ud800" <= char <= "\udfff" for char in prompt):
        raise _invalid(
            "prompt", "The prompt holds a character that is no text (NUL or half a pair)."
        )


def _encode(revision: Revision, mode: str, prompt: str) -> list[int]:
    from inference_sandbox.engine.tokenizer import TokenizerError

    if mode not in Run.Mode.values:
        raise _invalid("mode", f"The mode must be one of {', '.join(Run.Mode.values)}.")
    try:
        tokenizer = tokens.tokenizer_of(revision)
    except (StoreError, TokenizerError) as error:
        raise Refusal(
            Code.UNAVAILABLE,
            f"The tokenizer of {revision.release.name} cannot be read: {error}",
            "Try again in a minute; if it stays so, tell a manager of this site.",
        ) from error
    try:
        return tokens.encode(tokenizer, mode, prompt)
    except TokenizerError as error:
        raise _invalid("mode", str(error)) from error


def _invalid(name: str, sentence: str) -> Refusal:
    return Refusal(Code.INVALID, sentence, "Mend it and send again.", fields={name: [sentence]})


def _too_long(name: str, detail: str, way_out: str) -> Refusal:
    return Refusal(Code.TOO_LONG, detail, way_out, fields={name: [f"{detail} {way_out}"]})
