"""What both sides write on an application, and what reviewers write among themselves."""

from access_requests.models import Application, Message, Note
from access_requests.selectors import role_in
from access_requests.services.acts import (
    Denial,
    act,
    locked,
    no_such_application,
    recorded,
    required_text,
)
from access_requests.workflow import THE_DESK, Action, Role
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import send
from portal.refusals import Code

FIRST_LINES = 3
FIRST_CHARACTERS = 300


def write(application_id: int, *, actor: Account, body: str) -> Message:
    """Write to the other side; a mail tells them.

    The applicant's words reach the claimant and every reviewer who wrote before. Raises Refusal
    INVALID (nothing written), WRONG_STATE (nobody reads it any more).
    """
    with act(application_id, Action.WRITE, actor=actor) as (application, _):
        body = required_text(body, field="body", why="Write your message first.")
        message = Message.objects.create(application=application, author=actor, body=body)
        record(Verb.APPLICATION_MESSAGED, application, actor=actor, message=message.pk)
        _tell(application, message)
    return message


def _tell(application: Application, message: Message) -> None:
    if message.author_id != application.applicant_id:
        send(
            "application_message",
            to=application.applicant,
            sender=message.author,
            application=application,
            first_lines=first_lines(message.body),
        )
        return
    for reviewer in _readers(application):
        send(
            "application_message_at_the_desk",
            to=reviewer,
            sender=message.author,
            application=application,
            body=message.body,
        )


def _readers(application: Application) -> list[Account]:
    wrote = Message.objects.filter(application=application).exclude(author=application.applicant_id)
    people = {application.claimed_by_id, *wrote.values_list("author", flat=True)}
    recused = application.recusals.values("reviewer")
    return list(
        Account.objects.filter(pk__in=[pk for pk in people if pk], is_active=True).exclude(
            pk__in=recused
        )
    )


def first_lines(body: str) -> str:
    """The beginning, for a mail: the whole text is behind the sign-in."""
    lines = body.strip().splitlines()
    start = "\n".join(lines[:FIRST_LINES])
    short = start[:FIRST_CHARACTERS].rstrip()
    return short if short == body.strip() else f"{short} …"


def note(application_id: int, *, actor: Account, body: str) -> Note:
    """Write down something for reviewers alone, in any state; nobody is told by mail.

    Raises Refusal NOT_FOUND, NOT_ALLOWED (the applicant, a recused reviewer), INVALID.
    """
    with recorded(Application(pk=application_id), "note", actor=actor):
        application = locked(application_id)
        role = role_in(actor, application)
        if role == Role.STRANGER:
            raise no_such_application()
        if role not in THE_DESK:
            raise Denial(
                Code.NOT_ALLOWED,
                "Notes are for those who review this application.",
                "Write a message instead." if role == Role.APPLICANT else "Leave it to them.",
            )
        body = required_text(body, field="note", why="Write the note first.")
        made = Note.objects.create(application=application, author=actor, body=body)
        record(Verb.APPLICATION_NOTED, application, actor=actor, note=made.pk)
    return made
