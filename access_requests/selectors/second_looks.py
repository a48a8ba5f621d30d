"""Second looks: whose they are, and what they keep from whom while they are open."""

from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet
from django.urls import reverse

from access_requests.models import Application, DecisionPolicy, SecondLook, State
from portal.accounts import roles
from portal.accounts.models import Account
from portal.refusals import Code, Refusal

WAITING = Q(outcome=SecondLook.Outcome.OPEN)
HELD = (State.IN_REVIEW, State.IN_APPEAL, State.RETURNED)


def blind_to(account: Account) -> "QuerySet[Any]":
    """The applications whose decision this person must not learn yet: for a subquery."""
    return SecondLook.objects.filter(WAITING, reviewer=account).values("application")


def seen_by(account: Account, rows: Any, application: str = "application") -> Any:
    """The rows without those of applications that are blind to this person."""
    return rows.exclude(**{f"{application}__in": blind_to(account)})


def open_look(account: Account, application_id: int) -> SecondLook | None:
    return SecondLook.objects.filter(
        WAITING, reviewer=account, application_id=application_id
    ).first()


def check_not_blind(account: Account, application_id: int) -> None:
    """Raises Refusal NOT_ALLOWED, which leads to the page that shows what may be seen."""
    if look := open_look(account, application_id):
        raise Refusal(
            Code.NOT_ALLOWED,
            "You are asked for a second look at this application, and do not know its decision yet.",
            "Give your second look first; then its page is open to you.",
            url=reverse("admin:access_requests_secondlook_change", args=[look.pk]),
        )


def looks_seen_by(account: Account) -> "QuerySet[SecondLook]":
    """One's own, and for managers what others answered; never about one's own application."""
    seen = Q(reviewer=account)
    if roles.is_manager(account):
        seen |= ~WAITING & ~Q(application__applicant=account)
    return _in_order(SecondLook.objects.filter(seen))


def _in_order(looks: "QuerySet[SecondLook]") -> "QuerySet[SecondLook]":
    parts = ("application__family", "application__applicant", "reviewer", "review__reviewer")
    return looks.select_related(*parts).order_by(F("answered_at").desc(nulls_first=True), "-pk")


def second_look_percent(application: Application) -> int:
    """How many of a hundred decisions are looked at again: the highest of its releases."""
    policies = DecisionPolicy.objects.filter(release__in=application.releases.all())
    return policies.aggregate(most=Max("second_looks"))["most"] or 0


def second_looker(application: Application) -> Account | None:
    """Whom to ask: a reviewer who had nothing to do with it and reads no log, by load."""
    involved = {application.applicant_id}
    for people in (
        application.reviews.values_list("reviewer", flat=True),
        application.opinions.values_list("reviewer", flat=True),
        application.opinions.values_list("asked_by", flat=True),
        application.notes.values_list("author", flat=True),
        application.messages.values_list("author", flat=True),
        application.recusals.values_list("reviewer", flat=True),
        application.coapplicants.values_list("account", flat=True),
    ):
        involved.update(people)
    readers = [roles.Role.MANAGER.value, roles.Role.AUDITOR.value]  # the log names the decision
    free = Account.objects.filter(pk__in=roles.holders(roles.Role.REVIEWER).values("pk"))
    free = free.exclude(pk__in=[pk for pk in involved if pk]).exclude(groups__name__in=readers)
    claims = Count(
        "claimed_applications", filter=Q(claimed_applications__state__in=HELD), distinct=True
    )
    looks = Count("second_looks", filter=Q(second_looks__outcome=""), distinct=True)
    return (
        free.exclude(is_superuser=True).annotate(load=claims + looks).order_by("load", "pk").first()
    )
