"""What this floor forgets of a person, and what it keeps: states, times, deciders, digests, results."""

from functools import partial
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from access_requests.models import (
    OPEN_STATES,
    AnswerBand,
    Application,
    Attachment,
    Block,
    BlockedAddress,
    CloseOut,
    CoApplicant,
    Grant,
    LicenceAcceptance,
    Message,
    Note,
    Opinion,
    OrcidRecord,
    Recusal,
    Renewal,
    Review,
    SavedFilter,
    SecondLook,
    State,
    Waiver,
    Witness,
)
from portal.accounts.addresses import addresses_of, digest
from portal.accounts.erasing import GONE, erase_log_entries
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.refusals import Code, Refusal

Status = CoApplicant.Status
KEPT_OF_EVIDENCE = ("key", "label", "source", "result", "limits", "at")
NAMES_COAPPLICANTS = frozenset({"coapplicants", "listed"})  # keys of checks
NAMES_WITNESSES = frozenset({"official", "referee"})
KEPT_OF_AFFILIATION = ("category", "country")  # for the fairness report; they name nobody


def check(account: Account) -> None:
    """Raises Refusal WRONG_STATE while something runs that needs to know who the person is."""
    standing = Grant.objects.filter(
        account=account, ends_at__gt=timezone.now(), close_out=None
    ).exclude(status=Grant.Status.REVOKED)
    if grant := standing.select_related("release").first():
        raise _refusal(
            f"The grant for {grant.release.name} stands until {grant.ends_at:%-d %B %Y}.",
            "Close it on My access, stating that the copies are destroyed; then ask again.",
        )
    running = account.applications.filter(state__in=OPEN_STATES - {State.DRAFT})
    if application := running.first():
        raise _refusal(
            f"Application {application.reference} is “{application.get_state_display()}”.",
            "Withdraw it first, or wait for the decision.",
        )
    places = account.joined_applications.filter(status=Status.JOINED)
    if place := places.select_related("application").first():
        raise _refusal(
            f"There is a place in application {place.application.reference} that waits for a "
            "decision.",
            "Leave that application first.",
        )
    if account.claimed_applications.filter(state__in=OPEN_STATES).exists():
        raise Refusal(
            Code.WRONG_STATE,
            "This person has claimed applications that are not decided.",
            "A manager hands them to a colleague first.",
        )


def _refusal(detail: str, way_out: str) -> Refusal:
    url = reverse("access_requests:mine")
    return Refusal(Code.WRONG_STATE, detail, way_out, url=url)


def erase(account: Account) -> None:
    """Inside the transaction of the erasure.

    Raises Refusal as `check`, when a draft was submitted since that looked.
    """
    own = Application.objects.filter(applicant=account)
    list(own.select_for_update().order_by("pk").values("pk"))  # nobody submits one meanwhile
    check(account)
    _withdraw_drafts(own)
    _erase_indexes(own)
    for application in own:
        _erase_application(application)
    _erase_talk(own)
    _erase_reviews(Review.objects.filter(application__in=own))
    _erase_second_looks(SecondLook.objects.filter(application__in=own))
    _erase_witnesses(account, own)
    _erase_grants(account)
    _erase_places(account, own)
    _remember_blocks(account)
    erase_log_entries(Block.objects.filter(account=account))
    SavedFilter.objects.filter(owner=account).delete()


def _withdraw_drafts(own: "models.QuerySet[Application]") -> None:
    for draft in own.filter(state=State.DRAFT):
        draft.state = State.WITHDRAWN
        draft.save(update_fields=["state", "updated_at"])
        record(Verb.APPLICATION_WITHDRAWN, draft, actor=None, was=str(State.DRAFT))


def _erase_application(application: Application) -> None:
    application.answers, application.carried, application.search_text = {}, {}, ""
    application.affiliation = {
        key: application.affiliation[key]
        for key in KEPT_OF_AFFILIATION
        if key in application.affiliation
    }
    application.decision_reason = GONE if application.decision_reason else ""
    application.appeal = GONE if application.appeal else ""
    fields = ("answers", "carried", "search_text", "affiliation", "decision_reason", "appeal")
    application.save(update_fields=fields)
    for attachment in Attachment.objects.filter(application=application):
        attachment.delete()
        transaction.on_commit(partial(attachment.file.storage.delete, str(attachment.file.name)))


def _erase_talk(own: "models.QuerySet[Application]") -> None:
    """What both sides wrote on the person's applications, and what reviewers wrote about them."""
    Message.objects.filter(application__in=own).update(
        body=GONE, answers_before={}, affiliation_before={}
    )
    Note.objects.filter(application__in=own).update(body=GONE)
    Recusal.objects.filter(application__in=own).update(reason=GONE)
    _blank(Opinion.objects.filter(application__in=own), "question", "answer")


def _erase_reviews(reviews: "models.QuerySet[Review]") -> None:
    """Who decided, when and what each check came to; not what it found about the person."""
    _blank(reviews, "reason", "note")
    for review in reviews:
        review.evidence = [_without_finding(check) for check in review.evidence]
        review.save(update_fields=["evidence"])


def _erase_second_looks(looks: "models.QuerySet[SecondLook]") -> None:
    """That another reviewer looked, and what they would have done; not what they read."""
    looks.update(seen={})
    _blank(looks, "reason")


def _erase_witnesses(account: Account, own: "models.QuerySet[Application]") -> None:
    """Whether somebody vouched is kept. Who that was, and what they wrote about the person, is not."""
    nobody = f"erased-{account.pk}@erased.invalid"
    about = Witness.objects.filter(application__in=own)
    about.update(name=GONE, position=GONE, email=nobody, nonce="", statement={})
    Waiver.objects.filter(application__in=own).update(reason=GONE)
    # What the person said of others stays with those others' decisions, without a name.
    said = Witness.objects.filter(email__in=addresses_of(account))
    _erase_from_evidence(
        Review.objects.filter(application__witnesses__in=said).distinct(), NAMES_WITNESSES
    )
    for witness in said:
        witness.statement = {
            key: value for key, value in witness.statement.items() if key != "typed_name"
        }
        witness.name, witness.position, witness.email, witness.nonce = GONE, GONE, nobody, ""
        witness.save(update_fields=["name", "position", "email", "nonce", "statement"])


def _erase_indexes(own: "models.QuerySet[Application]") -> None:
    """What was derived from answers and affiliations, so that others' could be held against them."""
    AnswerBand.objects.filter(application__in=own).delete()
    orcids = {application.affiliation.get("orcid", "") for application in own}
    OrcidRecord.objects.filter(orcid__in=orcids - {""}).delete()
    own.update(institution_key="", ror="")


def _erase_from_evidence(reviews: "models.QuerySet[Review]", keys: frozenset[str]) -> None:
    """The evidence of another's application names who is in its lab, and who vouches for it."""
    for review in reviews:
        review.evidence = [
            _without_finding(check) if check.get("key") in keys else check
            for check in review.evidence
        ]
        review.save(update_fields=["evidence"])


def _without_finding(check: dict[str, Any]) -> dict[str, Any]:
    return {key: check[key] for key in KEPT_OF_EVIDENCE if key in check} | {"finding": GONE}


def _erase_grants(account: Account) -> None:
    """The texts accepted stay, by their digest; the name typed under them goes."""
    LicenceAcceptance.objects.filter(account=account).update(typed_name=GONE)
    _blank(Grant.objects.filter(account=account), "status_reason")
    reports = Renewal.objects.filter(grant__account=account)
    for renewal in reports.filter(status=Renewal.Status.OPEN):  # of a grant that has ended
        renewal.status, renewal.decided_at = Renewal.Status.REFUSED, timezone.now()
        renewal.save(update_fields=["status", "decided_at"])
        record(Verb.RENEWAL_REFUSED, renewal.grant, actor=None, renewal=renewal.pk)
    _blank(reports, "used_for", "publications", "derivatives", "reason")
    CloseOut.objects.filter(grant__account=account).update(typed_name=GONE)
    _blank(CloseOut.objects.filter(grant__account=account), "remarks")


def _erase_places(account: Account, own: "models.QuerySet[Application]") -> None:
    """The person's places in others' applications, and the open invitations to their own."""
    nobody = f"erased-{account.pk}@erased.invalid"
    addressed = Q(account=None, email__in=addresses_of(account))
    places = CoApplicant.objects.filter(Q(account=account) | addressed)
    places.filter(status=Status.INVITED).update(status=Status.REMOVED)
    in_labs = Review.objects.filter(application__coapplicants__account=account).distinct()
    _erase_from_evidence(in_labs, NAMES_COAPPLICANTS)
    _blank(places, "reason")
    places.update(email=nobody, affiliation={}, nonce="")
    # Whom the person invited and who never came is known to this site by the address alone.
    CoApplicant.objects.filter(application__in=own, account=None).update(
        email=nobody, nonce="", status=Status.REMOVED
    )


def _remember_blocks(account: Account) -> None:
    """A block outlives the account: under the same address nobody walks round it."""
    running = Q(ends_at=None) | Q(ends_at__gt=timezone.now())
    for block in account.blocks.filter(running):
        for address in addresses_of(account):
            BlockedAddress.objects.get_or_create(block=block, digest=digest(address))


def _blank(rows: "models.QuerySet[Any]", *fields: str) -> None:
    """What was written is gone; what was left empty stays empty."""
    for field in fields:
        rows.exclude(**{field: ""}).update(**{field: GONE})
