"""A lab: the people who apply together. Each joins by their own hand and gets their own grants."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from access_requests import mailed_links, selectors, versions
from access_requests.models import OPEN_STATES, Application, CoApplicant, Grant, State, Tier
from access_requests.models.people import new_nonce
from access_requests.selectors.witnesses import OUT
from access_requests.services.acts import Denial, locked, recorded, required_text
from access_requests.services.deciding import check_parts
from access_requests.services.granting import revoke_with_place
from access_requests.services.issuance import (
    Decision,
    Terms,
    admit_with_grants,
    check_decider,
    is_first_approval,
)
from access_requests.services.licences import accept
from portal.accounts import roles
from portal.accounts.addresses import (
    addresses_of,
    clean_address,
    confirmed_addresses_of,
    normalise_address,
)
from portal.accounts.models import Account, Affiliation
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.mail.services import send, send_outside
from portal.refusals import Code, Refusal

LINK_DAYS = 14
MOST = 20  # people in one application
MOST_MAILS = 5  # to one invited person: nobody is flooded over our door
Status = CoApplicant.Status


def _no_such() -> Denial:
    return Denial(
        Code.NOT_FOUND,
        "There is no such person in an application that you may change.",
        "Check the address.",
    )


@contextmanager
def _own_application(application_id: int, action: str, *, actor: Account) -> Iterator[Application]:
    """The actor's own application, locked, while people can still be added to it."""
    with recorded(Application(pk=application_id), action, actor=actor):
        application = locked(application_id)
        if application.applicant_id != actor.pk:
            raise Denial(
                Code.NOT_FOUND,
                "There is no such application, or none that you may see.",
                "Check the address.",
            )
        _takes_people(application)
        yield application


def _takes_people(application: Application) -> None:
    if application.state not in OPEN_STATES | {State.APPROVED}:
        raise Refusal(
            Code.WRONG_STATE,
            f"{application.reference} is “{application.get_state_display()}”; nobody can be added.",
            "Start a new application, and invite them to that one.",
            url=application.get_absolute_url(),
        )


def invite(application_id: int, *, actor: Account, email: str) -> CoApplicant:
    """Invite a person to one's application by mail; before the decision or after an approval.

    Raises Refusal: NOT_FOUND (another's), WRONG_STATE, INVALID (no address, one's own, invited
    already, too many).
    """
    with _own_application(application_id, "invite", actor=actor) as application:
        address = _address(application, actor, email)
        now = timezone.now()
        member = CoApplicant.objects.create(
            application=application,
            email=address,
            invited_at=now,
            expires_at=now + timedelta(days=LINK_DAYS),
        )
        record(Verb.MEMBER_INVITED, application, actor=actor, member=member.pk)
        _mail(member, actor)
    return member


def _address(application: Application, actor: Account, email: str) -> str:
    address, why = normalise_address(email), ""
    try:
        clean_address(email)
    except ValidationError as error:
        why = str(error.message)
    places = application.coapplicants.exclude(status__in=[Status.REMOVED, Status.DECLINED])
    if address in addresses_of(actor):
        why = "This is your own address; you are in already."
    elif application.witnesses.exclude(status__in=OUT).filter(email=address).exists():
        why = "This person vouches for your application, and cannot apply with you."
    elif places.filter(email=address).exists():
        why = "This person is invited already; the mail can be sent again."
    elif places.count() >= MOST:
        why = f"An application has at most {MOST} co-applicants."
    if why:
        raise Refusal(Code.INVALID, why, "Give another address.", fields={"email": [why]})
    return address


def _mail(member: CoApplicant, actor: Account) -> None:
    application = member.application
    send_outside(
        "coapplicant_invited",
        address=member.email,
        sender=actor,
        application=application,
        member=member,
        releases=list(application.releases.all()),
        url=mailed_links.url("join", member.pk, member.nonce),
    )


def invite_again(member_id: int, *, actor: Account) -> CoApplicant:
    """Send the invitation again with a new link; the old link opens nothing any more."""
    found = CoApplicant.objects.filter(pk=member_id).first()
    if found is None:
        raise _no_such()
    with _own_application(found.application_id, "invite_again", actor=actor):
        member = CoApplicant.objects.select_for_update().get(pk=member_id)
        if member.status != Status.INVITED:
            raise Refusal(
                Code.WRONG_STATE,
                f"This person is {member.get_status_display()}.",
                "There is no invitation to send again.",
            )
        if member.mails_sent >= MOST_MAILS:
            raise Refusal(
                Code.WRONG_STATE,
                f"The invitation was sent {MOST_MAILS} times.",
                "Ask the person in another way, or remove and invite another address.",
            )
        member.nonce = new_nonce()
        member.mails_sent += 1
        member.expires_at = timezone.now() + timedelta(days=LINK_DAYS)
        member.save(update_fields=["nonce", "mails_sent", "expires_at"])
        record(Verb.MEMBER_INVITED, member.application, actor=actor, member=member.pk, again=True)
        _mail(member, actor)
    return member


def invited(token: str, *, actor: Account) -> CoApplicant:
    """The open invitation behind a link, for the person whose address it was mailed to.

    Raises Refusal: SIGNATURE_INVALID, EXPIRED (used, replaced, too old), NOT_ALLOWED (another
    address), WRONG_STATE, BLOCKED, TOO_EARLY.
    """
    pk, nonce = mailed_links.read("join", token)
    member = CoApplicant.objects.select_related("application").filter(pk=pk).first()
    return _open_invitation(member, nonce, actor)


def _open_invitation(member: CoApplicant | None, nonce: str, actor: Account) -> CoApplicant:
    current = member.nonce if member and member.status == Status.INVITED else ""
    expires_at = member.expires_at if member else timezone.now()
    mailed_links.require_fresh(nonce, current=current, expires_at=expires_at)
    assert member is not None
    if member.email not in confirmed_addresses_of(actor):
        raise Denial(
            Code.NOT_ALLOWED,
            "This invitation went to another address than those of your account.",
            "Add the address that the mail went to and confirm it, or ask to be invited at yours.",
            url=reverse("account_email"),
        )
    _takes_people(member.application)
    selectors.check_may_apply(actor, member.application.family)
    return member


def join(
    token: str, *, actor: Account, typed_name: str, text_sha256: str | None = None
) -> CoApplicant:
    """Take the place one was invited to, accepting the licence. The link is used with it.

    Raises Refusal as `invited`, and INVALID (affiliation, name), LICENCE_CHANGED.
    """
    pk, nonce = mailed_links.read("join", token)
    with recorded(CoApplicant(pk=pk), "join", actor=actor):
        first = CoApplicant.objects.filter(pk=pk).first()
        if first:
            locked(first.application_id)  # before the row of the person, as in every other act
        found = CoApplicant.objects.select_for_update().filter(pk=pk).first()
        member = _open_invitation(found, nonce, actor)
        application = member.application
        _is_another(application, actor)
        member.affiliation = _affiliation(token, actor).snapshot()
        member.acceptance = accept(
            application.family.licence.current,
            actor=actor,
            typed_name=typed_name,
            text_sha256=text_sha256,
        )
        member.account, member.joined_at = actor, timezone.now()
        member.status, member.nonce = Status.JOINED, ""
        member.save()
        record(Verb.MEMBER_JOINED, application, actor=actor, member=member.pk)
        send("coapplicant_joined", to=application.applicant, member=member)
    return member


def _is_another(application: Application, actor: Account) -> None:
    places = application.coapplicants.filter(status__in=[Status.JOINED, Status.ADMITTED])
    if application.applicant_id == actor.pk or places.filter(account=actor).exists():
        raise Refusal(
            Code.WRONG_STATE,
            "You are in this application already.",
            "See it under My access.",
            url=reverse("access_requests:mine"),
        )


def _affiliation(token: str, actor: Account) -> Affiliation:
    found = Affiliation.objects.filter(account=actor).first()
    if found is None:
        back = reverse("access_requests:join", args=[token])
        raise Refusal(
            Code.INVALID,
            "Your affiliation is missing; reviewers read it first.",
            "Fill it in on your profile, then come back to this page.",
            url=f"{reverse('accounts:profile')}?next={back}",
        )
    return found


@contextmanager
def _place(member_id: int, action: str, *, actor: Account) -> Iterator[CoApplicant]:
    """A person's place, its application locked first."""
    with recorded(CoApplicant(pk=member_id), action, actor=actor):
        found = CoApplicant.objects.filter(pk=member_id).first()
        if found is None:
            raise _no_such()
        locked(found.application_id)
        yield CoApplicant.objects.select_for_update().get(pk=member_id)


def remove(member_id: int, *, actor: Account) -> CoApplicant:
    """Take a person out, and revoke at once the grants that they hold through this application.

    The applicant may, the person themself, and managers.
    """
    with _place(member_id, "remove_member", actor=actor) as member:
        application = member.application
        own = actor.pk in (application.applicant_id, member.account_id)
        if not own and not roles.is_manager(actor):
            raise _no_such()
        if member.status in (Status.REMOVED, Status.DECLINED):
            raise Refusal(Code.WRONG_STATE, "This person is out already.", "Nothing is left to do.")
        was = member.status
        member.status, member.nonce = Status.REMOVED, ""
        member.decided_at, member.decided_by = timezone.now(), actor
        member.save(update_fields=["status", "nonce", "decided_at", "decided_by"])
        record(Verb.MEMBER_REMOVED, application, actor=actor, member=member.pk, was=was)
        if member.account:
            ended = revoke_with_place(application, member.account, actor=actor)
            if member.account != actor:
                send("coapplicant_removed", to=member.account, member=member, grants=ended)
    return member


def admit(member_id: int, *, actor: Account, seen: str | None = None) -> CoApplicant:
    """Admit a person who joined after the approval: they get what the applicant holds by it.

    `seen`: the version that was on the screen; None for a caller without one. Where two people have to approve, the
    first approval is written down and gives nothing. Raises Refusal: NOT_FOUND, NOT_ALLOWED, WRONG_STATE, CHANGED, and
    all that `issue_grant` raises.
    """
    with _place_to_decide(member_id, "admit", actor=actor, seen=seen) as member:
        application, holder = member.application, member.account
        assert holder is not None
        terms = _terms_of_applicant(application)
        first = selectors.first_approval(member, application)
        decision = Decision(actor, application, first)
        if is_first_approval(terms, holder=holder, decision=decision):
            member.first_approval_by, member.first_approval_at = actor, timezone.now()
            member.save(update_fields=["first_approval_by", "first_approval_at"])
            record(Verb.MEMBER_ENDORSED, application, actor=actor, member=member.pk)
            return member
        admit_with_grants(member, terms, decision=decision)
    return member


def _terms_of_applicant(application: Application) -> list[Terms]:
    """What the applicant holds by it now, for no longer than is allowed now."""
    held = selectors.grants_from(application).filter(
        status=Grant.Status.ACTIVE, ends_at__gt=timezone.now()
    )
    given = held.exclude(release__status=Release.Status.WITHDRAWN)
    terms = [
        Terms(
            grant.release,
            Tier(grant.tier),
            min(grant.ends_at, selectors.latest_end([grant.release])),
        )
        for grant in given
    ]
    if not terms:
        raise Refusal(
            Code.WRONG_STATE,
            "The applicant holds no open grant by this application any more.",
            "Decline with that reason.",
        )
    return terms


def decline(member_id: int, *, actor: Account, reason: str, seen: str | None = None) -> CoApplicant:
    """Do not admit a person who joined after the approval. Needs a reason."""
    with _place_to_decide(member_id, "decline", actor=actor, seen=seen) as member:
        member.reason = required_text(
            reason, field="reason", why="This needs a reason, told to the person."
        )
        member.status = Status.DECLINED
        member.decided_at, member.decided_by = timezone.now(), actor
        member.save(update_fields=["status", "decided_at", "decided_by", "reason"])
        record(Verb.MEMBER_DECLINED, member.application, actor=actor, member=member.pk)
        assert member.account is not None
        send("coapplicant_declined", to=member.account, member=member)
    return member


@contextmanager
def _place_to_decide(
    member_id: int, action: str, *, actor: Account, seen: str | None
) -> Iterator[CoApplicant]:
    with _place(member_id, action, actor=actor) as member:
        application = member.application
        if not roles.is_reviewer(actor):
            raise _no_such()
        holder = member.account or application.applicant  # nobody has joined by this invitation
        check_decider(actor, holder=holder, application=application)
        if member.status != Status.JOINED or application.state != State.APPROVED:
            raise Refusal(
                Code.WRONG_STATE,
                f"This person is {member.get_status_display()}, and the application is "
                f"“{application.get_state_display()}”.",
                "Before a decision on the application, its co-applicants are decided with it.",
            )
        check_parts("This page", seen, versions.parts_of_place(member), versions.PLACE_PARTS)
        yield member
