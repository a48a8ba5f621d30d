"""The forms of a family."""

from typing import Any

from django.db import transaction

from access_requests import question_rules as rules
from access_requests.models import Form
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Family
from portal.refusals import Code, Refusal


@transaction.atomic
def make_form(family: Family, questions: Any, *, actor: Account | None = None) -> Form:
    """A new version of the family's form; applications started from now on answer it.

    Raises Refusal INVALID saying what is wrong with the questions.
    """
    _check(questions)
    Family.objects.select_for_update().get(pk=family.pk)  # two at once get two numbers
    newest = family.forms.order_by("-version").values_list("version", flat=True).first()
    form = Form.objects.create(family=family, version=(newest or 0) + 1, questions=questions)
    record(Verb.FORM_MADE, form, actor=actor, family=family.pk, version=form.version)
    return form


@transaction.atomic
def change_form(form_id: int, questions: Any, *, actor: Account) -> Form:
    """Change a form that nobody answers yet.

    Raises Refusal WRONG_STATE when it is frozen, or INVALID.
    """
    _check(questions)
    form = Form.objects.select_for_update().get(pk=form_id)
    if form.is_frozen:
        raise Refusal(
            Code.WRONG_STATE,
            f"{form} is frozen: applications answer it.",
            "Make a new version; it is asked from then on.",
        )
    form.questions = questions
    form.save(update_fields=["questions"])
    record(Verb.FORM_CHANGED, form, actor=actor, version=form.version)
    return form


def _check(questions: Any) -> None:
    if found := rules.problems(questions):
        raise Refusal(
            Code.INVALID,
            " ".join(found),
            "Mend the questions and save again.",
            fields={"questions": found},
        )
