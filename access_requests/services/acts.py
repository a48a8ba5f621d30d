"""How every act begins: the row locked, the table asked, and a denial written down."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import models, transaction

from access_requests import workflow
from access_requests.models import Application, Grant, State
from access_requests.selectors import role_in, why_barred
from access_requests.workflow import Action, GrantAction, Role
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.names import same_name
from portal.refusals import Code, Refusal

FOR_APPLICANTS = frozenset({Action.SAVE, Action.SUBMIT, Action.WITHDRAW, Action.APPEAL})


class Denial(Refusal):
    """The wrong person tried. It is written to the audit log after the act's rollback."""


@contextmanager
def recorded(subject: models.Model, action: str, *, actor: Account) -> Iterator[None]:
    """One transaction; a Denial raised in it is an event that outlives the rollback."""
    try:
        with transaction.atomic():
            yield
    except Denial as denial:
        record(
            Verb.APPLICATION_DENIED, subject, actor=actor, action=str(action), code=str(denial.code)
        )
        raise


@contextmanager
def act(
    application_id: int, action: Action, *, actor: Account
) -> Iterator[tuple[Application, State]]:
    """The locked application and the state that `action` leads to, inside one transaction.

    Raises Refusal: NOT_FOUND for who may not know of it, NOT_ALLOWED, CONFLICT (somebody was
    quicker, and who), WRONG_STATE.
    """
    with recorded(Application(pk=application_id), action, actor=actor):
        application = locked(application_id)
        role = role_in(actor, application)
        if role == Role.STRANGER:
            raise Denial(*_NO_SUCH_APPLICATION)
        try:
            to = workflow.step(
                State(application.state),
                action,
                role,
                claimed=application.claimed_by_id is not None,
            )
        except workflow.WrongRole:
            raise _wrong_role(application, action, role, actor) from None
        except workflow.WrongState:
            raise _wrong_state(application, action, actor) from None
        yield application, to


_NO_SUCH_APPLICATION = (
    Code.NOT_FOUND,
    "There is no such application, or none that you may see.",
    "Check the address.",
)


def locked(application_id: int) -> Application:
    """The row as it is once the lock is ours.

    No joins: PostgreSQL reads a row again after waiting for its lock, but not the rows joined to
    it, so that a reviewer who claimed meanwhile would be missing.
    """
    found = Application.objects.select_for_update().filter(pk=application_id).first()
    if found is None:
        raise Refusal(*_NO_SUCH_APPLICATION)
    return found


def _wrong_role(application: Application, action: Action, role: Role, actor: Account) -> Denial:
    if role == Role.APPLICANT:
        return Denial(
            Code.NOT_ALLOWED,
            "Nobody reviews their own application.",
            "Leave it to another reviewer.",
            url=application.get_absolute_url(),
        )
    if role == Role.BARRED and (why := why_barred(actor, application)):
        return Denial(Code.NOT_ALLOWED, why, "Leave it to another reviewer.")
    holder = application.claimed_by
    if holder and holder != actor and action not in FOR_APPLICANTS:
        return Denial(
            Code.CONFLICT,
            f"{holder} claimed this application and reviews it.",
            f"Leave it to {holder}, or ask them or a manager to give it back.",
            since=application.claimed_at,
        )
    if action == Action.ASSIGN:
        return Denial(
            Code.NOT_ALLOWED,
            "Managers assign what nobody holds; who holds a claim may hand it on.",
            "Claim it, or ask a manager.",
        )
    return Denial(
        Code.NOT_ALLOWED,
        "Only the person who applies may do that.",
        "Return it to them with a message instead.",
    )


def _wrong_state(application: Application, action: Action, actor: Account) -> Refusal:
    state = State(application.state)
    for_reviewers = action not in FOR_APPLICANTS
    if application.decided_by and for_reviewers and state in workflow.DECIDED_STATES:
        by = "you" if application.decided_by == actor else str(application.decided_by)
        return Refusal(
            Code.CONFLICT,
            f"{application.reference} was already {state} by {by} on "
            f"{application.decided_at:%-d %B %Y, %H:%M} UTC.",
            "That decision stands; see it on the application's page.",
            since=application.decided_at,
        )
    if action == Action.CLAIM and application.claimed_by:
        by = "You" if application.claimed_by == actor else str(application.claimed_by)
        return Refusal(
            Code.CONFLICT,
            f"{by} claimed {application.reference} already.",
            "Take the next one in the queue.",
            since=application.claimed_at,
        )
    if action == Action.SUBMIT and application.submitted_at and state in workflow.QUEUE_STATES:
        return Refusal(
            Code.WRONG_STATE,
            f"{application.reference} is already submitted; you did nothing wrong, and nothing "
            "is lost.",
            "See its page for what happens next.",
            since=application.submitted_at,
            url=application.get_absolute_url(),
        )
    return Refusal(
        Code.WRONG_STATE,
        f"{application.reference} is “{state.label}”; to {action} it is not possible in that "
        "state.",
        "Claim it first."
        if for_reviewers and state == State.SUBMITTED
        else "See its page for what is possible now.",
        url=application.get_absolute_url(),
    )


@contextmanager
def act_on_grant(
    grant_id: int, action: GrantAction, *, actor: Account
) -> Iterator[tuple[Grant, str]]:
    """The locked grant and its new status, inside one transaction. Managers only.

    Raises Refusal: NOT_FOUND for who may not know of it, NOT_ALLOWED, WRONG_STATE.
    """
    with recorded(Grant(pk=grant_id), action, actor=actor):
        grant = locked_grant(grant_id)
        if not roles.is_manager(actor):
            raise _not_a_manager(grant, actor)
        try:
            to = workflow.grant_step(Grant.Status(grant.status), action)
        except workflow.WrongState:
            raise Refusal(
                Code.WRONG_STATE,
                f"This grant is {grant.status}; to {action} it is not possible.",
                "See its page for what is possible now.",
                since=grant.status_changed_at,
            ) from None
        yield grant, to


def locked_grant(grant_id: int) -> Grant:
    """The row as it is once the lock is ours; no joins, as in `locked`."""
    found = Grant.objects.select_for_update().filter(pk=grant_id).first()
    if found is None:
        raise Refusal(*_NO_SUCH_GRANT)
    return found


_NO_SUCH_GRANT = (
    Code.NOT_FOUND,
    "There is no such grant, or none that you may see.",
    "Check the address.",
)


def _not_a_manager(grant: Grant, actor: Account) -> Denial:
    if grant.account_id == actor.pk or roles.is_reviewer(actor):
        return Denial(
            Code.NOT_ALLOWED, "Only a manager changes a grant.", "Ask a manager of this site."
        )
    return Denial(*_NO_SUCH_GRANT)


def no_such_application() -> Denial:
    return Denial(*_NO_SUCH_APPLICATION)


def no_such_grant() -> Denial:
    return Denial(*_NO_SUCH_GRANT)


def act_of_manager(actor: Account) -> None:
    """Raises Refusal NOT_ALLOWED for everybody who is not a manager."""
    if not roles.is_manager(actor):
        raise Refusal(Code.NOT_ALLOWED, "Only a manager does that.", "Ask a manager of this site.")


def required_text(text: str, *, field: str, why: str) -> str:
    """The text without its margins. Raises Refusal INVALID when nothing is left."""
    if not (text := text.strip()):
        raise Refusal(Code.INVALID, why, "Write it and send again.", fields={field: [why]})
    return text


def unknown_action(action: str) -> Refusal:
    return Refusal(
        Code.NOT_FOUND, f"There is no action “{action}”.", "The page shows what is possible."
    )


def check_typed_name(typed: str, actor: Account) -> None:
    """Raises Refusal INVALID when what was typed as a signature is not the account's name."""
    if not same_name(typed, actor.name):
        text = f"Type your name as it stands on your account: {actor.name}."
        way_out = "Or correct your name on your profile first."
        raise Refusal(Code.INVALID, text, way_out, fields={"typed_name": [text]})
