"""Reads of the people around an application."""

from django.db.models import Prefetch, QuerySet

from access_requests.models import Application, CoApplicant, Grant, Witness
from portal.accounts.addresses import mailbox, mailboxes_of
from portal.accounts.models import Account

GONE = (CoApplicant.Status.REMOVED, CoApplicant.Status.DECLINED)
IN = (CoApplicant.Status.JOINED, CoApplicant.Status.ADMITTED)


def is_in(account: Account, application: Application) -> bool:
    """Whether the person is a co-applicant of the application."""
    return any(
        one.account_id == account.pk and one.status in IN for one in application.coapplicants.all()
    )


def coapplicants_of(application: Application) -> "QuerySet[CoApplicant]":
    """For the applicant and the reviewers, in the order of invitation."""
    grants = Prefetch(
        "account__grants",
        queryset=Grant.objects.filter(application=application).select_related("release"),
        to_attr="by_this_application",
    )
    return application.coapplicants.select_related("account", "decided_by").prefetch_related(grants)


def places_of(account: Account) -> "QuerySet[CoApplicant]":
    """The applications of others that the person joined, newest first."""
    return (
        account.joined_applications.select_related("application__applicant", "application__family")
        .prefetch_related("application__releases")
        .order_by("-id")
    )


def places() -> "QuerySet[CoApplicant]":
    """For reviewers: everybody who joined an application."""
    return CoApplicant.objects.exclude(account=None).select_related(
        "account", "application__applicant", "application__family", "decided_by", "acceptance"
    )


def vouched(account: Account, application: Application) -> bool:
    """Whether this person answered for the application over a mailed link."""
    heard = addresses_heard(application)
    return bool(heard) and bool(heard & mailboxes_of(account))


def addresses_heard(application: Application) -> set[str]:
    """The mailboxes that the witnesses of the application answered from."""
    answered = (Witness.Status.ANSWERED, Witness.Status.DECLINED)
    return {mailbox(one.email) for one in application.witnesses.all() if one.status in answered}


def mailboxes_in(application: Application) -> set[str]:
    """The mailboxes of everybody who applies: the applicant's, the co-applicants', and where those were invited."""
    places = [one for one in application.coapplicants.all() if one.status not in GONE]
    joined = [place.account for place in places if place.account]
    invited = {mailbox(place.email) for place in places}
    return invited | mailboxes_of(application.applicant, *joined)
