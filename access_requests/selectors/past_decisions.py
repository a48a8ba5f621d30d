"""Who decided a grant of the past, and on what."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404

from access_requests.models import (
    Application,
    Grant,
    LicenceAcceptance,
    Recusal,
    Renewal,
    Review,
    Tier,
    Witness,
)
from access_requests.selectors.past import TERMS, Then, grants_then, maybe_open
from portal.accounts.models import Account
from portal.audit.models import Event
from portal.catalog.models import Release

Outcome = Review.Outcome
ENDS_A_ROUND = (Outcome.APPROVED, Outcome.REFUSED, Outcome.RETURNED)
WITHHELD = "What was answered is for those who review the application alone."
PAGE = 50  # rows of one answer
CHUNK = 64  # grants brought back at once: nearly all that may have been open were


@dataclass(frozen=True)
class Row:
    """One line of the answer: a grant at that moment, and the people who decided it."""

    then: Then
    deciders: list[Account]


@dataclass(frozen=True)
class Decision:
    """What gave the grant its terms once: an approval, an admission, a renewal."""

    event: Event
    application: Application | None
    reviews: list[Review] = field(default_factory=list)  # the approvals behind it, oldest first
    renewal: Renewal | None = None


def asked(*, release: Release | None = None, account: Account | None = None) -> "QuerySet[Grant]":
    """The grants that a question about a release, a person or both is about."""
    grants = Grant.objects.order_by("pk")
    if release:
        grants = grants.filter(release=release)
    return grants.filter(account=account) if account else grants


def rows_then(
    grants: "QuerySet[Grant]",
    at: datetime,
    *,
    tier: Tier = Tier.WEIGHTS,
    only_open: bool = True,
    after: int = 0,
) -> tuple[list[Row], int | None]:
    """A page of the answer by grant number, and after which number the next page begins, if any.

    `only_open`: those that opened the release at `tier`; else also those that did not, with why.
    """
    grants = (maybe_open(grants, at) if only_open else grants).order_by("pk")
    found: list[Then] = []
    while len(found) <= PAGE:
        chunk = grants.filter(pk__gt=after, created_at__lte=at)[:CHUNK]
        numbers = list(chunk.values_list("pk", flat=True))
        if not numbers:
            break
        after = numbers[-1]
        then = grants_then(Grant.objects.filter(pk__in=numbers).order_by("pk"), at, tier=tier)
        found += [one for one in then if one.could or not only_open]
    more = found[PAGE - 1].grant.pk if len(found) > PAGE else None
    return with_deciders(found[:PAGE]), more


def with_deciders(found: list[Then]) -> list[Row]:
    reviews = _reviews({one.terms.data.get("application") or 0 for one in found})
    rows = []
    for one in found:
        behind = _behind(one.terms, reviews[one.grant.application_id or 0])
        people = [review.reviewer for review in behind]
        rows.append(Row(one, _each_once([*people, one.terms.actor])))
    return rows


def _each_once(people: Iterable[Account | None]) -> list[Account]:
    return list({person.pk: person for person in people if person}.values())


def _reviews(applications: Iterable[int]) -> Mapping[int, list[Review]]:
    """The closed reviews of these applications, oldest first."""
    recused = Recusal.objects.filter(
        application=OuterRef("application"), reviewer=OuterRef("reviewer")
    )
    found = (
        Review.objects.filter(application__in=applications)
        .exclude(closed_at=None)
        .annotate(recused_at=Subquery(recused.values("declared_at")))
    )
    by: dict[int, list[Review]] = defaultdict(list)
    for review in found.select_related("reviewer").order_by("closed_at", "id"):
        by[review.application_id].append(review)
    return by


def _behind(event: Event, reviews: list[Review]) -> list[Review]:
    """The approvals that led to the event: the last one before it, and the first of two."""
    before = [review for review in reviews if review.closed_at and review.closed_at <= event.at]
    while before and before[-1].outcome != Outcome.APPROVED:
        before.pop()
    led: list[Review] = []
    for review in reversed(before):
        if led and review.outcome in ENDS_A_ROUND:
            break
        gone = getattr(review, "recused_at", None)
        counts = gone is None or gone > event.at
        if counts and review.outcome in (Outcome.APPROVED, Outcome.ENDORSED):
            led.insert(0, review)
    return led


def decided_then(
    pk: int, at: datetime, *, tier: Tier = Tier.WEIGHTS
) -> tuple[Then, list[Decision]]:
    """One grant at a moment with the decisions that gave it its terms up to then, newest first.

    Raises Http404 where there was no such grant.
    """
    found = grants_then(Grant.objects.filter(pk=pk), at, tier=tier)
    if not found:
        raise Http404("no such grant at that moment")
    then = found[0]
    return then, [_decision(event) for event in reversed(then.events) if event.verb in TERMS]


def _decision(event: Event) -> Decision:
    if renewal := event.data.get("renewal"):
        row = Renewal.objects.select_related("decided_by").filter(pk=renewal).first()
        return Decision(event, None, renewal=row)
    pk = event.data.get("application") or 0
    application = Application.objects.select_related("family").filter(pk=pk).first()
    reviews = _behind(event, _reviews([pk])[pk])
    for review in reviews:  # as they are told, not as they are kept
        review.evidence = [_told(check) for check in review.evidence]
    return Decision(event, application, reviews)


def _told(check: dict[str, Any]) -> dict[str, Any]:
    """A witness was promised that those who review the application read the answer, and nobody else:
    of it an auditor learns what it came to.
    """
    return {**check, "finding": WITHHELD} if check["key"] in Witness.Kind.values else check


def text_then(then: Then) -> LicenceAcceptance:
    """The acceptance that the grant stood under, with its text."""
    return LicenceAcceptance.objects.select_related("licence_version__licence").get(
        pk=then.grant.acceptance_id
    )


def text_fits(acceptance: LicenceAcceptance) -> bool:
    """Whether the text that is kept still has the digest that was accepted."""
    text = acceptance.licence_version.text.encode()
    return hashlib.sha256(text).hexdigest() == acceptance.text_sha256
