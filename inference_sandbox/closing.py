"""The end of a run, whoever brings it: its row, its tokens, its charge and its event, at once."""

import logging

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from inference_sandbox import quotas, selectors
from inference_sandbox.answer import Answer, printable
from inference_sandbox.models import Run, RunTokens
from portal.audit.models import Verb
from portal.audit.services import record

log = logging.getLogger(__name__)
NOT_STORED = (
    "The answer could not be stored; the cause is in the worker's log. Report this to the managers "
    "of this site."
)


def close(run: Run, answer: Answer) -> bool:
    """Write what the run has come to. False, and nothing written, if it was over before.

    An answer that the database does not take ends the run all the same, as failed and without its
    text: a run that has no end would be begun again and again.
    """
    try:
        return _write(run, answer)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the sweep finds the run when it is back
    except Exception:
        log.exception("the answer of run %s could not be stored", run.pk)
        bare = Answer(tokens=answer.tokens, begun=answer.begun)
        closed = _write(run, bare.end(Run.Status.FAILED, "error", NOT_STORED))
        answer.end(bare.status, bare.finish_reason, bare.error)
        return closed


@transaction.atomic
def _write(run: Run, answer: Answer) -> bool:
    """In one transaction, so that a run is charged exactly once wherever a worker may die."""
    closed = Run.objects.filter(pk=run.pk, status__in=selectors.UNFINISHED).update(
        status=answer.status,
        output="".join(answer.texts),
        output_ids=answer.tokens,
        finish_reason=answer.finish_reason,
        error=printable(answer.error),
        output_tokens=len(answer.tokens),
        tokens_per_second=answer.rate,
        first_token_seconds=run.first_token_seconds,
        finished_at=timezone.now(),
    )
    if not closed:
        return False
    if answer.prompt or any(answer.records):
        records = {"prompt": answer.prompt, "output": answer.records}
        RunTokens.objects.update_or_create(run=run, defaults=records)
    if answer.begun:
        quotas.charge(run, written=len(answer.tokens))
    record(
        Verb.RUN_FINISHED, run, actor=None, status=answer.status,
        finish_reason=answer.finish_reason, output_tokens=len(answer.tokens),
    )  # fmt: skip
    return True
