"""Access requests as the clients of the hub know them: one person, one release, one of three lists.

Pending is what waits for a decision here, and a grant that was set back; accepted is who has access now; rejected is
whom the last word about the release refused. Whoever is in none of them is waited for (a draft, a return for
correction), suspended by a manager, or had a grant that ended.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from access_requests.models import Application, Grant
from access_requests.selectors.applications import submitted
from access_requests.selectors.doors import running
from access_requests.selectors.queue import review_queue
from access_requests.selectors.second_looks import seen_by
from access_requests.workflow import QUEUE_STATES, State
from portal.accounts.addresses import account_at
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.hub_words import REPO_NOT_FOUND
from portal.refusals import Code, Refusal

HubStatus = Literal["pending", "accepted", "rejected"]


@dataclass(frozen=True)
class AccessRequest:
    """One row of a list. `grant`: where it is about a grant and not about an application."""

    status: HubStatus
    application: Application
    account: Account
    grant: Grant | None = None

    @property
    def request_id(self) -> str:
        """The application's reference; with the person's handle where they are a co-applicant."""
        own = self.application.applicant_id == self.account.pk
        reference = self.application.reference
        return reference if own else f"{reference}.{self.account.handle}"

    @property
    def place(self) -> str:
        """Where a next page begins. A list keeps its order while a client accepts what it reads."""
        return f"g{self.grant.pk}" if self.grant else f"a{self.application.pk}"


def hub_release(repo: str) -> Release:
    """The release of that repo id, in whatever case it is written, as the Hub does.

    Raises Refusal NOT_FOUND in the hub's words.
    """
    releases = Release.objects.select_related("family__licence")
    found = None if "\0" in repo else releases.filter(repo_id__iexact=repo).first()
    if found is None:
        raise no_such_release(repo)
    return found


def no_such_release(repo: str) -> Refusal:
    """Also for one that this person may not know of."""
    return Refusal(
        Code.NOT_FOUND,
        f"There is no release {repo} here.",
        "The catalogue lists what there is.",
        url="/releases/",
        headers=REPO_NOT_FOUND,
    )


def hub_account(user: str) -> Account:
    """The person of that handle (`u17`) or e-mail address. Raises Refusal NOT_FOUND."""
    found = None
    if match := re.fullmatch(r"u([1-9][0-9]{0,17})", user):
        found = Account.objects.filter(pk=int(match[1])).first()
    elif "\0" not in user:
        found = account_at(user)
    if found is None:
        raise Refusal(
            Code.NOT_FOUND,
            f"There is no user {user} here.",
            "Name a person by the `username` of a list, or by their e-mail address.",
        )
    return found


def hub_account_of_request(request_id: str, release: Release) -> Account:
    """Whose request that is. Raises Refusal NOT_FOUND, for requests about other releases too."""
    match = re.fullmatch(r"WB-([0-9]{6,18})(?:\.(u[0-9]+))?", request_id)
    application = match and submitted().filter(pk=int(match[1]), releases=release).first()
    if not match or not application:
        raise Refusal(
            Code.NOT_FOUND,
            f"There is no request {request_id} for {release.repo_id}.",
            "Take the `request_id` from a list of this release.",
        )
    return hub_account(match[2]) if match[2] else application.applicant


def waiting_application(account: Account, release: Release) -> Application | None:
    """The person's application for the release that waits for a decision here."""
    found = submitted().filter(applicant=account, releases=release, state__in=QUEUE_STATES)
    return found.first()


def returned_application(account: Account, release: Release) -> Application | None:
    return submitted().filter(applicant=account, releases=release, state=State.RETURNED).first()


def open_grants(account: Account, release: Release) -> "QuerySet[Grant]":
    """What gives access to the release now; under a new licence text perhaps after accepting it."""
    return running(Grant.objects.filter(account=account, release=release)).order_by("pk")


def grants_set_back(account: Account, release: Release) -> "QuerySet[Grant]":
    return _set_back(Grant.objects.filter(account=account, release=release)).order_by("pk")


def rejected_request(account: Account, release: Release) -> AccessRequest | None:
    """The last word about the release, where it was a no."""
    applications, grants = _rejected(release)
    if application := applications.filter(applicant=account).first():
        return AccessRequest("rejected", application, account)
    if grant := grants.filter(account=account).first():
        assert grant.application is not None
        return AccessRequest("rejected", grant.application, account, grant)
    return None


def hub_requests(
    actor: Account, release: Release, status: HubStatus, *, after: str = "", limit: int
) -> tuple[list[AccessRequest], bool]:
    """One page of a list, and whether more follows: applications first, then grants, each by id."""
    applications, grants = _lists(actor, release, status)
    found: list[AccessRequest] = []
    kind, number = (after[:1], int(after[1:])) if after else ("a", 0)
    if kind == "a":
        rows = applications.filter(pk__gt=number).order_by("pk")[: limit + 1]
        found = [AccessRequest(status, row, row.applicant) for row in rows]
        number = 0
    if (left := limit + 1 - len(found)) > 0:
        more = grants.filter(pk__gt=number).order_by("pk")
        with_parts = more.select_related(
            "account", "application__applicant", "application__form"
        ).prefetch_related("application__coapplicants")
        found += [
            AccessRequest(status, grant.application, grant.account, grant)
            for grant in with_parts[:left]
            if grant.application is not None
        ]
    return found[:limit], len(found) > limit


def _lists(
    actor: Account, release: Release, status: HubStatus
) -> "tuple[QuerySet[Application], QuerySet[Grant]]":
    # Whoever gives a blind second look must not find the decision in a list.
    here = seen_by(actor, Grant.objects.filter(release=release, application__isnull=False))
    if status == "pending":
        return review_queue(actor).filter(releases=release), _set_back(here)
    if status == "rejected":
        refused, revoked = _rejected(release)
        return seen_by(actor, refused, "pk"), seen_by(actor, revoked)
    earlier = running(Grant.objects.filter(release=release, account=OuterRef("account")))
    return Application.objects.none(), running(here).exclude(
        Exists(earlier.filter(pk__lt=OuterRef("pk")))
    )


def _set_back(grants: "QuerySet[Grant]") -> "QuerySet[Grant]":
    return grants.filter(
        status=Grant.Status.SUSPENDED, pending_again=True, ends_at__gt=timezone.now()
    )


def _rejected(release: Release) -> "tuple[QuerySet[Application], QuerySet[Grant]]":
    """Refused applications, and revoked grants, that nothing later about the release followed."""

    def standing(account: str) -> Any:
        kept = Grant.objects.filter(account=OuterRef(account), release=release)
        return Exists(kept.filter(ends_at__gt=timezone.now()).exclude(status=Grant.Status.REVOKED))

    def later(account: str, application: str) -> Any:
        asked = Application.objects.filter(applicant=OuterRef(account), releases=release)
        return Exists(asked.filter(submitted_at__isnull=False, pk__gt=OuterRef(application)))

    refused = submitted().filter(state=State.REFUSED, releases=release)
    revoked = Grant.objects.filter(
        release=release, status=Grant.Status.REVOKED, application__isnull=False
    )
    newer = Grant.objects.filter(
        release=release, account=OuterRef("account"), pk__gt=OuterRef("pk")
    )
    return (
        refused.exclude(standing("applicant")).exclude(later("applicant", "pk")),
        revoked.exclude(standing("account"))
        .exclude(later("account", "application"))
        .exclude(Exists(newer)),
    )
