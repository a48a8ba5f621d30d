"""A run done again, and whether it came out the same."""

from dataclasses import dataclass
from uuid import UUID

from inference_sandbox import selectors, services, tokens
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.records import asked_of
from portal.accounts.models import Account
from portal.refusals import Code, Refusal


def run_again(run_id: UUID, *, actor: Account) -> Run:
    """Queue the same prompt with the same parameters for the same revision.

    Raises Refusal as `create_run` does: TAKEN_DOWN where that revision is up no more.
    """
    first = selectors.run_visible_to(actor, run_id)
    if first.emptied_at:
        raise Refusal(
            Code.WRONG_STATE,
            "The prompt of this run is not kept any more, so it cannot be done again.",
            "Prompt the model anew.",
        )
    known = RunTokens.objects.filter(pk=first.pk).values_list("output", flat=True).first() or []
    return services.create_run(
        actor=actor,
        release=first.release,
        revision=first.revision,
        prefix=[record for record in known[: len(first.forced)] if record],
        **asked_of(first) | {"repeats": first},
    )


@dataclass(frozen=True)
class Comparison:
    """How a run compares with the one that it repeats."""

    first: Run
    count: int  # tokens that are the same, from the beginning
    identical: bool
    was: str = ""  # the token where they part, of the first and of this one
    became: str = ""
    shorter: bool = False  # one of the two was stopped early, and they agree up to there


def comparison(run: Run, *, viewer: Account) -> Comparison | None:
    """None while there is nothing to compare, or nothing that the viewer may see."""
    if run.repeats_id is None or not run.is_over:
        return None
    try:
        first = selectors.run_visible_to(viewer, run.repeats_id)
    except Refusal:
        return None
    if not (first.is_over and first.output_ids and run.output_ids):
        return None
    return _compared(first, run)


def _compared(first: Run, run: Run) -> Comparison:
    pairs = zip(first.output_ids, run.output_ids, strict=False)
    count = next((place for place, (a, b) in enumerate(pairs) if a != b), None)
    if count is not None:
        parted = first.output_ids[count], run.output_ids[count]
        was, became = (tokens.text_of(run.revision, token) for token in parted)
        return Comparison(first, count, False, was, became)
    same = min(len(first.output_ids), len(run.output_ids))
    if len(first.output_ids) == len(run.output_ids):
        return Comparison(first, same, identical=True)
    return Comparison(first, same, identical=False, shorter=True)
