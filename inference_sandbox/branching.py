"""Going on from a run that is over: from one of its tokens, by the next turn, or with a new seed."""

from uuid import UUID

from django.conf import settings

from distribution import selectors as distribution
from inference_sandbox import selectors, services, tokens
from inference_sandbox.answer import Record
from inference_sandbox.asking import invalid
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.records import asked_of
from portal.accounts.models import Account
from portal.refusals import Code, Refusal


def branch(run_id: UUID, position: int, token: int, *, actor: Account) -> Run:
    """Go on from an answer's token with another in its place, one of those told as alternatives.

    The new run's answer begins with the tokens before `position` and with `token`; they keep what
    the model thought of them. It may grow as far behind them as its parent could.
    """
    run = selectors.run_of(actor, run_id)
    _check_over(run)
    _check_same_files(run)
    records = _records(run)
    if not 0 <= position < len(records):
        raise invalid("position", f"The answer has {len(records)} tokens, from 0 on.")
    taken = _alternative(records[position], token)
    _check_goes_on(run, token)
    forced = [record[0] for record in records[:position]] + [token]
    asked = asked_of(run)
    asked |= {"forced": forced, "parent": run, "max_tokens": _room(run, len(forced))}
    prefix = [*records[:position], taken]
    return services.create_run(actor=actor, release=run.release, prefix=prefix, **asked)


def regenerate(run_id: UUID, *, actor: Account) -> Run:
    """Ask the same once more, with a new seed."""
    run = selectors.run_of(actor, run_id)
    _check_over(run)
    if run.forced or run.prompt_ids:
        _check_same_files(run)
    asked = asked_of(run)
    asked |= {"parent": run.parent, "seed": None}
    prefix = _records(run)[: len(run.forced)] if run.forced else []
    return services.create_run(actor=actor, release=run.release, prefix=prefix, **asked)


def reply(run_id: UUID, text: str, *, actor: Account) -> Run:
    """Say the next thing in a conversation; the model reads all of it again."""
    run = selectors.run_of(actor, run_id)
    _check_over(run)
    if run.mode != Run.Mode.CHAT or run.prompt_ids or not run.output.strip():
        raise Refusal(
            Code.WRONG_STATE,
            "Only a conversation in which the model has answered can be gone on with.",
            "Start a conversation in the sandbox.",
            url="/sandbox/",
        )
    said = [{"role": "assistant", "content": run.output}, {"role": "user", "content": text}]
    asked = asked_of(run)
    asked |= {"messages": [*run.conversation, *said], "forced": [], "parent": run, "seed": None}
    return services.create_run(actor=actor, release=run.release, **asked)


def _check_over(run: Run) -> None:
    if not run.is_over:
        raise Refusal(
            Code.WRONG_STATE,
            "This run is not over yet.",
            "Wait for its end, or stop it.",
            url=run.get_absolute_url(),
        )


def _check_same_files(run: Run) -> None:
    """Token numbers mean nothing under another tokenizer, nor their probabilities elsewhere."""
    current = distribution.current_revision(run.release)
    if current.pk != run.revision_id:
        raise Refusal(
            Code.WRONG_STATE,
            f"{run.release.name} has other files now than those that answered this run.",
            "Send the prompt again, and go on from the new answer.",
            url=f"/sandbox/?from={run.pk}",
        )


def _records(run: Run) -> list[Record]:
    """One for each token of the answer, whole."""
    kept = RunTokens.objects.filter(pk=run.pk).values_list("output", flat=True).first() or []
    if not kept or any(record is None for record in kept):
        raise Refusal(
            Code.WRONG_STATE,
            "What the model thought of this answer's tokens was not kept.",
            "Send the prompt again, with at least one alternative.",
            url=f"/sandbox/?from={run.pk}",
        )
    return list(kept)


def _alternative(record: Record, token: int) -> Record:
    """The record of what stands in the token's place."""
    _, _, _, entropy, top = record
    for other, text, logprob in top:
        if other == token:
            return [token, text, logprob, entropy, top]
    raise invalid("token", f"Token {token} is not among the alternatives that are known here.")


def _check_goes_on(run: Run, token: int) -> None:
    ends = token in tokens.tokenizer_of(run.revision).eos_ids and not run.ignore_eos
    if ends or token in run.stop_token_ids:
        raise invalid("token", "This token ends the answer: nothing can go on from it.")


def _room(run: Run, forced: int) -> int:
    """The most tokens of a branch: as many of its own as its parent had, and what fits."""
    own = run.max_tokens - len(run.forced)
    context = tokens.context_limit(run.revision) - (run.prompt_tokens or 0)
    return max(forced, min(forced + own, settings.SANDBOX_MAX_TOKENS, context))
