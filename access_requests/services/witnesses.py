"""Signing officials and referees: named, asked by mail, sent again, replaced, gone without."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from access_requests import mailed_links, selectors
from access_requests.models import Application, Waiver, Witness
from access_requests.models.people import new_nonce
from access_requests.models.witness import LINK_DAYS
from access_requests.selectors.witnesses import AGAIN, OUT, TAKES_WITNESSES
from access_requests.services.acts import (
    Denial,
    locked,
    no_such_application,
    recorded,
    required_text,
)
from access_requests.workflow import AWAITED_IN, THE_DESK
from portal.accounts import roles
from portal.accounts.addresses import clean_address, mailbox, mailboxes_of, normalise_address
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.models import OutgoingMail
from portal.mail.services import send_outside
from portal.names import LIKE_A_LINK, clean_name, same_name
from portal.refusals import Code, Refusal

MOST_MAILS = 5  # to one person
MOST_NAMED = 5  # people of one kind in an application: nobody mails the world over our door
PAUSE = timedelta(hours=1)  # between two mails to one person
Kind, Status = Witness.Kind, Witness.Status
ASKS = {Kind.OFFICIAL: "official_asked", Kind.REFEREE: "referee_asked"}


def name_witness(
    application_id: int, kind: str, *, actor: Account, name: str, email: str, position: str
) -> Witness:
    """Name who vouches, for one's own application; asked by mail at once if it is submitted.

    Whoever did not answer yet is replaced, and their link ends. Raises Refusal: NOT_FOUND
    (another's), WRONG_STATE (decided, answered, too many), INVALID (not asked for, no address,
    oneself, a co-applicant, the other witness).
    """
    with recorded(Application(pk=application_id), "name_witness", actor=actor):
        application = locked(application_id)
        if application.applicant_id != actor.pk:
            raise no_such_application()
        _takes_witnesses(application, kind)
        before = application.witnesses.filter(kind=kind).exclude(status__in=OUT).last()
        _replaceable(application, before, kind)
        given = _given(application, kind, name=name, email=email, position=position)
        if before and before.status == Status.NAMED:  # not asked yet: the row is corrected
            Witness.objects.filter(pk=before.pk).update(**given)
            before.refresh_from_db()
            return before
        if before and before.status == Status.ASKED:
            _close(before, Status.REPLACED, actor)
        made = Witness.objects.create(application=application, kind=kind, **given)
        record(Verb.WITNESS_NAMED, application, actor=actor, witness=made.pk, kind=kind)
        if application.submitted_at:
            ask(made, actor=actor)
    return made


def _takes_witnesses(application: Application, kind: str) -> None:
    if application.state not in TAKES_WITNESSES:
        raise Refusal(
            Code.WRONG_STATE,
            f"{application.reference} is “{application.get_state_display()}”; nobody is asked.",
            "See its page for what is possible now.",
            url=application.get_absolute_url(),
        )
    if kind not in selectors.kinds_asked(application.releases.all()):
        text = "The releases of this application do not ask for that person."
        raise Refusal(Code.INVALID, text, "Nothing is left to do.", fields={"kind": [text]})


def _replaceable(application: Application, before: Witness | None, kind: str) -> None:
    if before and before.status == Status.ANSWERED:
        raise Refusal(
            Code.WRONG_STATE,
            f"Your {before.get_kind_display()} answered already.",
            "Nothing is left for you to do.",
            since=before.closed_at,
        )
    drafted = bool(before and before.status == Status.NAMED)
    if not drafted and application.witnesses.filter(kind=kind).count() >= MOST_NAMED:
        raise Refusal(
            Code.WRONG_STATE,
            f"You named {MOST_NAMED} people already.",
            "Write to the reviewers on the application's page; a manager can go on without.",
            url=application.get_absolute_url(),
        )


def _given(
    application: Application, kind: str, *, name: str, email: str, position: str
) -> dict[str, str]:
    """The fields, cleaned. Raises Refusal INVALID that names each one that does not fit."""
    given = {
        "name": clean_name(name)[:150],
        "email": normalise_address(email),
        "position": clean_name(position)[:200],
    }
    wrong: dict[str, list[str]] = {}
    if not given["name"]:
        wrong["name"] = ["Give the person's name."]
    elif LIKE_A_LINK.search(given["name"]):  # it begins a mail that we send to strangers
        wrong["name"] = ["Give the name alone, without addresses."]
    elif same_name(given["name"], application.applicant.name):
        wrong["name"] = ["This is your own name; somebody else has to vouch for you."]
    if not given["position"]:
        wrong["position"] = ["Say what they are, and where."]
    if why := _why_not(application, kind, given["email"]):
        wrong["email"] = [why]
    if wrong:
        text = " ".join(reason for reasons in wrong.values() for reason in reasons)
        raise Refusal(Code.INVALID, text, "Correct it and try again.", fields=wrong)
    return given


def _why_not(application: Application, kind: str, address: str) -> str:
    """Why nobody at this address can vouch; empty when somebody can."""
    try:
        clean_address(address)
    except ValidationError as error:
        return str(error.message)
    if mailbox(address) in mailboxes_of(application.applicant):
        return "This is your own address; somebody else has to vouch for you."
    if mailbox(address) in selectors.mailboxes_in(application):
        return "This person applies with you; somebody else has to vouch for you."
    others = application.witnesses.exclude(Q(kind=kind) | Q(status__in=OUT))
    if mailbox(address) in {mailbox(one) for one in others.values_list("email", flat=True)}:
        return "The same person cannot be both your signing official and your referee."
    return ""


def check_named(application: Application) -> None:
    """At submission. Raises Refusal INVALID while somebody who has to vouch is not named."""
    if missing := selectors.kinds_unnamed(application):
        who = " and ".join(f"a {kind.label}" for kind in missing)
        raise Refusal(
            Code.INVALID,
            f"These releases ask for {who}, and you named nobody yet.",
            "Name them, then submit; your answers are kept.",
            url=reverse("access_requests:witnesses", args=[application.pk]),
            fields={"witnesses": [f"Name {who}."]},
        )


def ask_all(application: Application, *, actor: Account) -> None:
    """At submission: who was named is asked, and an official who confirmed less is asked again."""
    for one in application.witnesses.filter(kind=Kind.OFFICIAL, status=Status.ANSWERED):
        if not _covers(one, application):
            _close(one, Status.REPLACED, actor)
            Witness.objects.create(
                application=application,
                kind=one.kind,
                name=one.name,
                email=one.email,
                position=one.position,
            )
    for one in application.witnesses.filter(status=Status.NAMED):
        ask(one, actor=actor)


def _covers(official: Witness, application: Application) -> bool:
    """Whether what was confirmed is what is asked for now: the same text, no further release."""
    reading = selectors.reading_of(official)
    asked = {release.repo_id for release in reading.releases}
    said = official.statement
    return asked <= set(said["releases"]) and said["licence_sha256"] == reading.version.sha256


def ask(witness: Witness, *, actor: Account) -> None:
    """Inside the caller's transaction: a mail with a new link; the old one opens nothing more."""
    now = timezone.now()
    witness.status = Status.ASKED
    witness.nonce = new_nonce()
    witness.asked_at, witness.reminded_at, witness.closed_at = now, None, None
    witness.expires_at = now + timedelta(days=LINK_DAYS)
    witness.mails_sent += 1
    witness.mail = mail_to(ASKS[Kind(witness.kind)], witness, sender=actor)
    witness.save()
    record(
        Verb.WITNESS_ASKED,
        witness.application,
        actor=actor,
        witness=witness.pk,
        kind=witness.kind,
        again=witness.mails_sent > 1,
    )


def mail_to(template: str, witness: Witness, *, sender: Account | None = None) -> OutgoingMail:
    """A mail with the link, to the person who was named."""
    return send_outside(
        template,
        address=witness.email,
        sender=sender,
        witness=witness,
        application=witness.application,
        releases=list(witness.application.releases.all()),
        url=mailed_links.url("vouch", witness.pk, witness.nonce),
    )


def ask_again(witness_id: int, *, actor: Account) -> Witness:
    """Send the mail again with a new link: the applicant, or who reviews the application.

    Raises Refusal: NOT_FOUND, WRONG_STATE (answered, replaced, too often), TOO_EARLY.
    """
    with _found(witness_id, "ask_again", actor=actor) as witness:
        application = witness.application
        desk = selectors.role_in(actor, application) in THE_DESK
        if application.applicant_id != actor.pk and not desk:
            raise no_such_application()
        _can_be_asked_again(witness)
        ask(witness, actor=actor)
    return witness


@contextmanager
def _found(witness_id: int, action: str, *, actor: Account) -> Iterator[Witness]:
    """The row, its application locked first, as in every other act."""
    with recorded(Witness(pk=witness_id), action, actor=actor):
        found = Witness.objects.filter(pk=witness_id).first()
        if found is None:
            raise no_such_application()
        locked(found.application_id)
        yield Witness.objects.select_for_update().get(pk=witness_id)


def _can_be_asked_again(witness: Witness) -> None:
    application = witness.application
    newest = application.witnesses.filter(kind=witness.kind).last()
    if witness.status not in AGAIN or application.state not in AWAITED_IN or newest != witness:
        raise Refusal(
            Code.WRONG_STATE,
            f"The mail cannot be sent again: {witness.get_status_display()}, and the application "
            f"is “{application.get_state_display()}”.",
            "See its page for what is possible now.",
            url=application.get_absolute_url(),
        )
    if witness.mails_sent >= MOST_MAILS:
        raise Refusal(
            Code.WRONG_STATE,
            f"The mail was sent {MOST_MAILS} times.",
            "Reach the person in another way, or name somebody else.",
            url=application.get_absolute_url(),
        )
    if witness.asked_at and witness.asked_at > timezone.now() - PAUSE:
        raise Refusal(
            Code.TOO_EARLY,
            f"The last mail left at {witness.asked_at:%H:%M} UTC; there is one an hour at most.",
            "Ask the person to look among unwanted mail meanwhile, and try again later.",
            since=witness.asked_at,
            url=application.get_absolute_url(),
        )


def cancel_witnesses(application: Application, *, actor: Account | None) -> None:
    """Inside the act that ends the application's way: outstanding links open nothing any more."""
    for one in application.witnesses.filter(status__in=[Status.NAMED, Status.ASKED]):
        _close(one, Status.CANCELLED, actor)


def _close(witness: Witness, to: Witness.Status, actor: Account | None) -> None:
    witness.status, witness.closed_at = to, timezone.now()
    witness.save(update_fields=["status", "closed_at"])
    record(
        Verb.WITNESS_CANCELLED,
        witness.application,
        actor=actor,
        witness=witness.pk,
        kind=witness.kind,
        to=str(to),
    )


def go_without(application_id: int, kind: str, *, actor: Account, reason: str) -> Waiver:
    """Let the application be approved without that answer. Managers, with a written reason.

    The person's link stays open: an answer that still comes is read all the same. Raises Refusal:
    NOT_FOUND, NOT_ALLOWED, WRONG_STATE (nothing is missing), INVALID (no reason).
    """
    with recorded(Application(pk=application_id), "go_without", actor=actor):
        application = locked(application_id)
        _may_go_without(application, actor)
        reason = required_text(
            reason, field="reason", why="Say why it is decided without; reviewers read it."
        )
        if kind not in selectors.kinds_missing(application) or application.state not in AWAITED_IN:
            raise Refusal(
                Code.WRONG_STATE,
                f"{application.reference} does not wait for that answer.",
                "See its page for what is possible now.",
            )
        waiver = Waiver.objects.create(
            application=application, kind=kind, reason=reason, decided_by=actor
        )
        record(Verb.EVIDENCE_WAIVED, application, actor=actor, kind=kind)
    return waiver


def _may_go_without(application: Application, actor: Account) -> None:
    if not roles.is_reviewer(actor) or selectors.is_in(actor, application):
        raise no_such_application()
    if not selectors.may_go_without(actor, application):
        raise Denial(
            Code.NOT_ALLOWED,
            "Only a manager who may act on this application goes without an answer.",
            "Ask a manager, or wait for the answer.",
        )
