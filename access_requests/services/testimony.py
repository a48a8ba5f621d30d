"""What happens behind a witness's mailed link, and what happens when nothing does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from access_requests import mailed_links, selectors
from access_requests.models import Application, Witness
from access_requests.models.witness import REMIND_AFTER
from access_requests.selectors.witnesses import Reading
from access_requests.services.acts import Denial, locked, recorded, required_text
from access_requests.services.witnesses import mail_to
from access_requests.workflow import AWAITED_IN
from portal.accounts.addresses import mailbox
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import GIVE_UP_AFTER, send
from portal.names import clean_name
from portal.refusals import Code, Refusal

LONG = 4000  # characters of an answer
RESEARCH = ("yes", "partly", "no", "unknown")
Kind, Status = Witness.Kind, Witness.Status


def reading_behind(token: str, *, actor: Account | None = None) -> Reading:
    """What the person behind a mailed link reads; `actor` is who is signed in, if anybody is.

    Raises Refusal: SIGNATURE_INVALID, EXPIRED (used, replaced, too old, or nobody waits for
    the answer any more), NOT_ALLOWED (who applies does not vouch for themself).
    """
    pk, nonce = mailed_links.read("vouch", token)
    return _open(Witness.objects.filter(pk=pk).first(), nonce, actor)


def answered_behind(token: str) -> Witness | None:
    """The witness whose newest link this is, once they have answered: to thank them again."""
    pk, nonce = mailed_links.read("vouch", token)
    done = [Status.ANSWERED, Status.DECLINED]
    return Witness.objects.filter(pk=pk, nonce=nonce, status__in=done).first()


def _open(witness: Witness | None, nonce: str, actor: Account | None) -> Reading:
    current = witness.nonce if witness and witness.status == Status.ASKED else ""
    if witness and witness.nonce == nonce and witness.status in (Status.CANCELLED, Status.REPLACED):
        raise _nobody_waits()
    expires_at = (witness and witness.expires_at) or timezone.now()
    mailed_links.require_fresh(nonce, current=current, expires_at=expires_at)
    assert witness is not None
    application = witness.application
    if application.state not in AWAITED_IN or not application.applicant.is_active:
        raise _nobody_waits()
    _check_is_another(witness, actor)
    return selectors.reading_of(witness)


def _check_is_another(witness: Witness, actor: Account | None) -> None:
    """Who applies may have got hold of the link, or have confirmed the address since it was named."""
    application = witness.application
    part = actor and (actor.pk == application.applicant_id or selectors.is_in(actor, application))
    if part or mailbox(witness.email) in selectors.mailboxes_in(application):
        raise Denial(
            Code.NOT_ALLOWED,
            "This link is for a person who vouches for the application, and you are part of it."
            if part
            else "The address that this link went to belongs to a person of the application.",
            "Somebody else has to vouch: name another person on the application's page.",
        )


def _nobody_waits() -> Refusal:
    return Refusal(
        Code.EXPIRED,
        "Nobody waits for your answer any more: the application was decided or withdrawn, or "
        "somebody else was asked.",
        "Nothing is left for you to do; thank you.",
    )


@contextmanager
def _answering(
    token: str, kind: Witness.Kind, read: str, actor: Account | None
) -> Iterator[Witness]:
    """The locked witness, while the answer is awaited and what was read still stands."""
    pk, nonce = mailed_links.read("vouch", token)
    act = recorded(Witness(pk=pk), "vouch", actor=actor) if actor else transaction.atomic()
    with act:
        first = Witness.objects.filter(pk=pk, kind=kind).first()
        if first:
            locked(first.application_id)  # before the row of the person, as in every other act
        found = Witness.objects.select_for_update().filter(pk=pk, kind=kind).first()
        reading = _open(found, nonce, actor)
        if read != reading.digest:
            raise Refusal(
                Code.CONFLICT,
                "The application was corrected while you were reading.",
                "Read it again below; what you wrote is still here.",
            )
        yield reading.witness


def confirm(
    token: str,
    *,
    read: str,
    confirms: bool,
    typed_name: str = "",
    comment: str = "",
    actor: Account | None = None,
) -> Witness:
    """The signing official confirms, under their name, or declines and says why; once.

    `read`: the digest of what was on the screen. Raises Refusal as `reading_behind`, CONFLICT (it
    was corrected meanwhile), INVALID (no name under a confirmation, no reason for declining).
    """
    with _answering(token, Kind.OFFICIAL, read, actor) as witness:
        comment = comment.strip()[:LONG]
        if confirms:
            typed_name = required_text(
                clean_name(typed_name), field="typed_name", why="Type your name to confirm."
            )
        else:
            comment = required_text(comment, field="comment", why="Say why you do not confirm.")
        said = {"confirms": confirms, "typed_name": typed_name[:150], "comment": comment}
        _keep(witness, Status.ANSWERED if confirms else Status.DECLINED, said)
    return witness


def give_reference(
    token: str,
    *,
    read: str,
    relation: str,
    research: str,
    research_more: str = "",
    against: bool,
    against_more: str = "",
    actor: Account | None = None,
) -> Witness:
    """The referee answers the three questions; once. Raises Refusal as `confirm`."""
    with _answering(token, Kind.REFEREE, read, actor) as witness:
        relation = required_text(
            relation, field="relation", why="Say how you know the applicant, and for how long."
        )
        if research not in RESEARCH:
            text = "Choose one of the answers."
            raise Refusal(Code.INVALID, text, "Then send again.", fields={"research": [text]})
        if against:
            against_more = required_text(
                against_more, field="against_more", why="Say what the reason is."
            )
        said = {
            "relation": relation[:LONG],
            "research": research,
            "research_more": research_more.strip()[:LONG],
            "against": against,
            "against_more": against_more.strip()[:LONG] if against else "",
        }
        _keep(witness, Status.ANSWERED, said)
    return witness


def decline_reference(token: str, *, read: str, actor: Account | None = None) -> Witness:
    """The referee does not want to answer. Raises Refusal as `confirm`."""
    with _answering(token, Kind.REFEREE, read, actor) as witness:
        _keep(witness, Status.DECLINED, {})
    return witness


def _keep(witness: Witness, to: Witness.Status, said: dict[str, Any]) -> None:
    reading = selectors.reading_of(witness)
    read = {
        "releases": [release.repo_id for release in reading.releases],
        "licence": str(reading.version),
        "licence_sha256": reading.version.sha256,
        "description": reading.research[1] if reading.research else "",
    }
    witness.statement = {**read, **said}
    witness.status, witness.closed_at = to, timezone.now()
    witness.save(update_fields=["statement", "status", "closed_at"])
    answered = to == Status.ANSWERED
    verb = Verb.WITNESS_ANSWERED if answered else Verb.WITNESS_DECLINED
    application = witness.application
    record(verb, application, actor=None, witness=witness.pk, kind=witness.kind)
    template = "witness_answered" if answered else "witness_declined"
    send(template, to=application.applicant, witness=witness, application=application)
    if application.claimed_by:
        send(
            "witness_answered_at_the_desk",
            to=application.claimed_by,
            witness=witness,
            application=application,
        )


def follow_up_witnesses() -> int:
    """Remind who was asked a week ago; note whom no mail reached, and who did not answer in time.

    Says for how many something was done. Beat calls it; a second call at once does nothing.
    """
    asked = Witness.objects.filter(
        status=Status.ASKED,
        application__state__in=AWAITED_IN,
        application__applicant__is_active=True,
    )
    unreached = {"mail__sent_at": None, "mail__attempts__gte": GIVE_UP_AFTER}
    now = timezone.now()
    reminder_due = asked.filter(reminded_at=None, asked_at__lte=now - REMIND_AFTER)
    return (
        sum(_lapse(pk) for pk in _ids(asked.filter(expires_at__lte=now)))
        + sum(_bounce(pk) for pk in _ids(asked.filter(mail__isnull=False, **unreached)))
        + sum(_remind(pk) for pk in _ids(reminder_due.filter(expires_at__gt=now)))
    )


def _ids(due: "QuerySet[Witness]") -> list[int]:
    return list(due.order_by("asked_at").values_list("pk", flat=True)[:500])


@contextmanager
def _still_asked(pk: int) -> Iterator[Witness | None]:
    """The locked row; None when it was answered, replaced or cancelled meanwhile."""
    with transaction.atomic():
        found = Witness.objects.filter(pk=pk).first()
        if found:
            locked(found.application_id)
        witness = Witness.objects.select_for_update().filter(pk=pk, status=Status.ASKED).first()
        waits = witness and witness.application.state in AWAITED_IN
        yield witness if waits else None


def _lapse(pk: int) -> bool:
    with _still_asked(pk) as witness:
        if witness is None or not witness.expires_at or witness.expires_at > timezone.now():
            return False
        _give_up(witness, Status.LAPSED, Verb.WITNESS_LAPSED, "witness_lapsed")
    return True


def _bounce(pk: int) -> bool:
    with _still_asked(pk) as witness:
        mail = witness and witness.mail
        if not witness or not mail or mail.sent_at or mail.attempts < GIVE_UP_AFTER:
            return False
        _give_up(witness, Status.BOUNCED, Verb.WITNESS_BOUNCED, "witness_unreachable")
    return True


def _give_up(witness: Witness, to: Witness.Status, verb: Verb, template: str) -> None:
    witness.status, witness.closed_at = to, timezone.now()
    witness.save(update_fields=["status", "closed_at"])
    application: Application = witness.application
    record(verb, application, actor=None, witness=witness.pk, kind=witness.kind)
    send(template, to=application.applicant, witness=witness, application=application)


def _remind(pk: int) -> bool:
    now = timezone.now()
    with _still_asked(pk) as witness:
        if witness is None or witness.reminded_at or not witness.asked_at or not witness.expires_at:
            return False
        due = witness.asked_at <= now - REMIND_AFTER and now < witness.expires_at
        if not due or not witness.application.applicant.is_active:
            return False
        witness.reminded_at = now
        witness.save(update_fields=["reminded_at"])
        record(
            Verb.WITNESS_REMINDED,
            witness.application,
            actor=None,
            witness=witness.pk,
            kind=witness.kind,
        )
        mail_to("witness_reminder", witness)
    return True
