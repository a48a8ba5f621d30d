"""Outputs that people find harmful, told to the managers with the run attached."""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from inference_sandbox import selectors
from inference_sandbox.emptying import empty
from inference_sandbox.models import Report, Run
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import send
from portal.refusals import Code, Refusal

LONGEST = 4000  # characters


@transaction.atomic
def report(run_id: UUID, *, actor: Account, kind: str, text: str) -> Report:
    """Tell the managers what is wrong with an output. Whoever may see the run may report it.

    Raises Refusal: NOT_FOUND, INVALID with the field, WRONG_STATE for a run without an output and
    for a second report while the person's first is open.
    """
    selectors.run_visible_to(actor, run_id)
    run = Run.objects.select_for_update().get(pk=run_id)
    _check(kind, text)
    if not run.is_over or run.emptied_at:
        raise Refusal(
            Code.WRONG_STATE, "This run has no answer to report.", "Come back once it has one."
        )
    if open_reports().filter(run=run, reporter=actor).exists():
        raise Refusal(
            Code.WRONG_STATE,
            "You have reported this run, and no manager has answered yet.",
            "You will have a mail when one does.",
        )
    made = Report.objects.create(run=run, reporter=actor, kind=kind, text=text.strip())
    record(Verb.RUN_REPORTED, run, actor=actor, report=made.pk, kind=kind)
    for manager in roles.holders(roles.Role.MANAGER):
        send("run_reported", to=manager, report=made)
    return made


@transaction.atomic
def close_report(report_id: int, *, actor: Account, answer: str) -> Report:
    """A manager looked at it, and the reporter is told what came of it, by mail.

    Raises Refusal: NOT_ALLOWED, INVALID without an answer, WRONG_STATE the second time.
    """
    if not roles.is_manager(actor):
        raise Refusal(
            Code.NOT_ALLOWED, "Only managers answer reports.", "Ask a manager of this site."
        )
    _check_text("answer", answer, "Say what came of it: the reporter reads it.")
    closed = Report.objects.select_for_update().get(pk=report_id)
    if closed.closed_at:
        raise Refusal(
            Code.WRONG_STATE, "This report has been answered already.", "Read the answer below it."
        )
    closed.closed_at, closed.closed_by, closed.answer = timezone.now(), actor, answer.strip()
    closed.save(update_fields=["closed_at", "closed_by", "answer"])
    record(Verb.REPORT_CLOSED, closed, actor=actor, run=str(closed.run_id))
    send("report_closed", to=closed.reporter, report=closed)
    _let_go(closed.run_id)
    return closed


def open_reports() -> "QuerySet[Report]":
    return Report.objects.filter(closed_at=None)


def _let_go(run_id: UUID) -> None:
    """A run that its person has deleted waited for the managers alone."""
    if not open_reports().filter(run=run_id).exists():
        empty(Run.objects.filter(pk=run_id, emptied_at=None).exclude(deleted_at=None))


def _check(kind: str, text: str) -> None:
    if kind not in Report.Kind.values:
        sentence = f"Choose one of {', '.join(Report.Kind.values)}."
        raise Refusal(
            Code.INVALID, sentence, "Choose, and send again.", fields={"kind": [sentence]}
        )
    _check_text("text", text, "Say what is wrong with it, in a sentence or two.")


def _check_text(name: str, text: str, sentence: str) -> None:
    if not text.strip() or "\x00" in text:
        raise Refusal(
            Code.INVALID, sentence, "Write it, and send again.", fields={name: [sentence]}
        )
    if len(text) > LONGEST:
        sentence = f"At most {LONGEST:,} characters, please; these are {len(text):,}."
        raise Refusal(Code.TOO_LONG, sentence, "Shorten it.", fields={name: [sentence]})
