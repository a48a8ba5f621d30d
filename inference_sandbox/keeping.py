"""What a person does with a run that is there: note, share, delete."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from inference_sandbox import selectors
from inference_sandbox.emptying import empty
from inference_sandbox.models import Run
from inference_sandbox.reports import open_reports
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.refusals import Code, Refusal

LONGEST_NOTE = 10_000  # characters


@transaction.atomic
def write_note(run_id: UUID, *, actor: Account, text: str) -> Run:
    """The person's own words about a run of theirs, which nobody else reads; empty: none."""
    run = _own(actor, run_id)
    if len(text) > LONGEST_NOTE or "\x00" in text:
        sentence = f"A note has at most {LONGEST_NOTE:,} characters, and no NUL."
        raise Refusal(Code.INVALID, sentence, "Shorten it.", fields={"note": [sentence]})
    _require_texts(run)
    run.note = text.strip()
    run.save(update_fields=["note"])
    record(Verb.RUN_NOTED, run, actor=actor, characters=len(run.note))
    return run


@transaction.atomic
def share(run_id: UUID, *, actor: Account, shared: bool) -> Run:
    """Open the run's page to whoever may prompt the same release, or close it. Twice: no matter."""
    run = _own(actor, run_id)
    if run.shared == shared:
        return run
    if shared:
        _require_texts(run)
    run.shared = shared
    run.save(update_fields=["shared"])
    record(Verb.RUN_SHARED if shared else Verb.RUN_UNSHARED, run, actor=actor)
    return run


@transaction.atomic
def delete(run_id: UUID, *, actor: Account) -> None:
    """Take a run of one's own away, and all that was written in it.

    What stays is what the managers need: who, when, under which grant, how many tokens. While a
    report of it is open its texts wait for the answer, unseen by everybody but the managers.
    """
    run = _own(actor, run_id)
    if not run.is_over:
        raise Refusal(
            Code.WRONG_STATE,
            "This run is still under way.",
            "Stop it first.",
            url=run.get_absolute_url(),
        )
    run.deleted_at, run.shared = timezone.now(), False
    run.save(update_fields=["deleted_at", "shared"])
    record(Verb.RUN_DELETED, run, actor=actor)
    if not open_reports().filter(run=run).exists():
        empty(Run.objects.filter(pk=run.pk))


def _own(actor: Account, run_id: UUID) -> Run:
    selectors.run_of(actor, run_id)
    return Run.objects.select_for_update().get(pk=run_id)


def _require_texts(run: Run) -> None:
    if run.emptied_at:
        raise Refusal(
            Code.WRONG_STATE, "What this run said is not kept any more.", "Prompt the model anew."
        )
