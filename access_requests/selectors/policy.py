"""The policy of a decision: who is barred, how many have to approve, who is shut out."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from access_requests.models import (
    Application,
    Block,
    BlockedAddress,
    CoApplicant,
    DecisionPolicy,
    Opinion,
    ReasonTemplate,
    Renewal,
    Review,
    SecondLook,
)
from access_requests.models.policy import DEFAULT_MAX_GRANT_DAYS
from access_requests.selectors.people import addresses_heard, vouched
from access_requests.workflow import APPEAL_STATES, AWAITED_IN, DECIDED_STATES
from portal.accounts import roles
from portal.accounts.addresses import addresses_of, digests, domains_of, mailboxes_of
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from portal.refusals import Code, Refusal


def why_barred(account: Account, application: Application) -> str:
    """Why this reviewer may not act on this application; empty when they may."""
    if account.pk in recused_from(application):
        return "You declared a conflict of interest."
    if vouched(account, application):
        return "You answered as a witness; somebody else decides."
    if account.pk in _asked_to_look(application):
        return "You are asked for a second look at it; give that first."
    if application.state in APPEAL_STATES and decided_before(account, application):
        return "You decided this application; its appeal is decided by somebody else."
    if application.state in DECIDED_STATES:
        return ""
    if any(one.reviewer_id == account.pk for one in endorsements(application)):
        return "You approved it already; the second approval is another person's."
    return ""


def recused_from(application: Application) -> set[int]:
    """Who declared a conflict of interest, by id."""
    return {one.reviewer_id for one in application.recusals.all()}


def _asked_to_look(application: Application) -> set[int]:
    """Who has a second look to give, by id."""
    looks = application.second_looks.all()
    return {one.reviewer_id for one in looks if one.outcome == SecondLook.Outcome.OPEN}


def decided_before(account: Account, application: Application) -> bool:
    """Whether the person took part in the decision that is appealed against."""
    took_part = (Review.Outcome.APPROVED, Review.Outcome.REFUSED, Review.Outcome.ENDORSED)
    appealed = application.appealed_at
    return application.decided_by_id == account.pk or any(
        one.reviewer_id == account.pk
        and one.outcome in took_part
        and bool(one.closed_at and appealed and one.closed_at <= appealed)
        for one in application.reviews.all()
    )


def endorsements(application: Application) -> list[Review]:
    """First approvals that still count.

    Not those given before a return for correction or an appeal, for what was approved has changed
    since; nor those of a person who declared a conflict of interest afterwards.
    """
    returned = [one.created_at for one in application.messages.all() if one.is_return]
    since = max([at for at in (application.appealed_at, *returned) if at], default=None)
    recused = recused_from(application)
    return [
        one
        for one in application.reviews.all()
        if one.outcome == Review.Outcome.ENDORSED
        and one.reviewer_id not in recused
        and (since is None or bool(one.closed_at and one.closed_at > since))
    ]


def last_endorsement(application: Application) -> Review | None:
    """The first of two approvals, where a second one is to come."""
    given = endorsements(application)
    return given[-1] if given else None


def policies_of(releases: Iterable[Release]) -> list[DecisionPolicy]:
    """How these releases are decided on, in the catalogue's order. No query where they were read with it."""
    ordered = sorted(releases, key=lambda release: (release.position, release.pk))
    found = [getattr(release, "decision_policy", None) for release in ordered]
    return [policy for policy in found if policy is not None]


def first_approval(one: CoApplicant | Renewal, application: Application | None) -> Account | None:
    """Who gave the first of two approvals, unless they declared a conflict of interest since."""
    given = one.first_approval_by
    if given and application and application.recusals.filter(reviewer=given).exists():
        return None
    return given


def latest_end(releases: Iterable[Release]) -> datetime:
    """The end of the last day until which a grant for all of these may run when it is given now."""
    chosen = list(releases)
    limits = {policy.release_id: policy.max_grant_days for policy in policies_of(chosen)}
    days = min(
        (limits.get(release.pk, DEFAULT_MAX_GRANT_DAYS) for release in chosen),
        default=DEFAULT_MAX_GRANT_DAYS,
    )
    last = timezone.now().astimezone(UTC) + timedelta(days=days)
    return last.replace(hour=23, minute=59, second=59, microsecond=999_999)


def approvals_needed(application: Application | None, releases: Iterable[Release]) -> int:
    """How many different people have to approve these releases of this application."""
    recused = recused_from(application) if application else set()
    for one in application.opinions.all() if application else ():
        if one.kind == Opinion.Kind.DECISION and one.reviewer_id not in recused:
            return 2
    two = DecisionPolicy.Approvals.TWO
    return 2 if any(policy.approvals >= two for policy in policies_of(releases)) else 1


def checklist(releases: Iterable[Release]) -> list[str]:
    """The items for these releases, each once."""
    return list(dict.fromkeys(item for policy in policies_of(releases) for item in policy.items))


def reasons_for(family: Family) -> "QuerySet[ReasonTemplate]":
    """The templates that a refusal can begin with."""
    return ReasonTemplate.objects.filter(Q(family=None) | Q(family=family), is_active=True)


def running_block(account: Account, family: Family) -> Block | None:
    """What shuts this person out of this family now."""
    known = [digest for address in addresses_of(account) for digest in digests(address)]
    erased = BlockedAddress.objects.filter(digest__in=known)
    named = (
        Q(account=account) | Q(domain__in=domains_of(account)) | Q(pk__in=erased.values("block"))
    )
    running = Q(ends_at=None) | Q(ends_at__gt=timezone.now())
    return family.blocks.filter(named, running).first()


def check_may_apply(account: Account, family: Family) -> None:
    """Raises Refusal BLOCKED, or TOO_EARLY when a refusal named a date that has not come."""
    check_not_blocked(account, family)
    if found := apply_again_from(account, family):
        raise Refusal(
            Code.TOO_EARLY,
            f"Your last application for {family.name} was refused; you may apply again from "
            f"{found:%-d %B %Y}.",
            "Read the reason meanwhile; if you find the refusal mistaken, appeal on its page.",
            url="/applications/",
        )


def check_not_blocked(account: Account, family: Family) -> None:
    """Raises Refusal BLOCKED with the reason and the end."""
    block = running_block(account, family)
    if block is None:
        return
    until = f" until {block.ends_at:%-d %B %Y}" if block.ends_at else ""
    raise Refusal(
        Code.BLOCKED,
        f"Applications for {family.name} are closed to {block.domain or 'this account'}{until}. "
        f"The reason: {block.reason}",
        "Apply after that day." if block.ends_at else "Answer a mail of this site to settle it.",
        since=block.created_at,
    )


def apply_again_from(account: Account, family: Family) -> datetime | None:
    """The day that the last refusal names, while it lies ahead."""
    refused = account.applications.filter(
        family=family, state="refused", apply_again_from__gt=timezone.now()
    )
    last = refused.order_by("-apply_again_from").first()
    return last.apply_again_from if last else None


def colleagues(application: Application | None = None) -> "QuerySet[Account]":
    """Everybody who may review; without those who may not act on this application."""
    found = roles.holders(roles.Role.REVIEWER, roles.Role.MANAGER)
    if application is None:
        return found.order_by("name", "pk")
    barred = {
        application.applicant_id,
        *(one.reviewer_id for one in endorsements(application)),
    }
    if heard := addresses_heard(application):
        people = found.prefetch_related("emailaddress_set")
        barred |= {one.pk for one in people if heard & mailboxes_of(one)}
    barred |= recused_from(application) | _asked_to_look(application)
    if application.appealed_at and application.state in APPEAL_STATES:
        barred |= {one.pk for one in found if decided_before(one, application)}
    return found.exclude(pk__in=[pk for pk in barred if pk]).order_by("name", "pk")


def opinion_asked_of(account: Account, application: Application) -> Opinion | None:
    """The review that somebody waits for from this person; none once it is decided."""
    if application.state not in AWAITED_IN:
        return None
    if account.pk in recused_from(application):
        return None
    wanted = (account.pk, Opinion.Kind.REVIEW, Opinion.Advice.OPEN)
    asked = application.opinions.all()
    return next((one for one in asked if (one.reviewer_id, one.kind, one.advice) == wanted), None)


def second_decider(application: Application) -> Account | None:
    """The colleague asked last for the second decision, if they may still give it."""
    asked = application.opinions.filter(kind=Opinion.Kind.DECISION).last()
    if asked is None:
        return None
    return colleagues(application).filter(pk=asked.reviewer_id).first()
