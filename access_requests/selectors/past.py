"""Grants as they were at a moment in the past, brought back from the audit log.

Rows say what is; events say what was. From both a `Grant` is made anew that is never saved, and the
one rule of every door (`check_grant`) is asked about it: the past is judged by no rule of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import CharField, Exists, OuterRef, Prefetch, Q, QuerySet
from django.db.models.functions import Cast

from access_requests.models import CloseOut, Grant, LicenceAcceptance, Tier
from access_requests.selectors.doors import check_grant
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from portal.refusals import Refusal

V = Verb
STATUS = {
    V.GRANT_ISSUED: Grant.Status.ACTIVE,
    V.GRANT_SUSPENDED: Grant.Status.SUSPENDED,
    V.GRANT_REINSTATED: Grant.Status.ACTIVE,
    V.GRANT_REVOKED: Grant.Status.REVOKED,
}
RELEASE_STATUS = {
    V.RELEASE_PUBLISHED: Release.Status.PUBLISHED,
    V.RELEASE_WITHDRAWN: Release.Status.WITHDRAWN,
    V.RELEASE_RESTORED: Release.Status.PUBLISHED,
    V.RELEASE_ANNOUNCED: Release.Status.ANNOUNCED,
}
OPENS = {V.ACCOUNT_OPENED: True, V.ACCOUNT_CLOSED: False, V.ACCOUNT_ERASED: False}
TERMS = (V.GRANT_ISSUED, V.GRANT_RENEWED)  # what gives a grant its terms, and is a decision
Events = list[Event]


@dataclass(frozen=True)
class Then:
    """A grant at a moment, and whether it opened its release at the tier that was asked for."""

    grant: Grant
    at: datetime
    events: Events  # about the grant, up to that moment, oldest first
    refusal: Refusal | None

    @property
    def is_published(self) -> bool:
        """Whether there was anything to be had."""
        return self.grant.release.status == Release.Status.PUBLISHED

    @property
    def could(self) -> bool:
        return self.refusal is None and self.is_published

    @property
    def terms(self) -> Event:
        """The event that gave it the terms of that moment."""
        return [event for event in self.events if event.verb in TERMS][-1]


def grants_then(
    grants: "QuerySet[Grant]", at: datetime, *, tier: Tier = Tier.WEIGHTS
) -> list[Then]:
    """What those of `grants` were at `at` that were issued by then, in their order.

    A fixed number of queries. A grant without an event of its issue is left out, for nothing tells
    what it was; `without_beginning` counts such grants.
    """
    rows = list(grants.filter(created_at__lte=at).select_related("account", "release", "close_out"))
    log = _log("access_requests.grant", [row.pk for row in rows], until=at)
    catalogue = _Catalogue({row.release_id: row.release for row in rows}, at)
    people = _accounts({row.account_id: row.account for row in rows}, at)
    texts = _acceptances(log)
    found = []
    for row in rows:
        events = log[str(row.pk)]
        if not any(event.verb == V.GRANT_ISSUED for event in events):
            continue
        grant = _as_it_was(row, events, at)
        grant.account = people[row.account_id]
        grant.release = catalogue.releases[row.release_id]
        grant.acceptance = texts[grant.acceptance_id]
        found.append(Then(grant, at, events, _refusal(grant, tier, at)))
    return found


def without_beginning(grants: "QuerySet[Grant]", at: datetime, *, only_open: bool = False) -> int:
    """How many grants have no event of their issue: rows that no act of this site has made.

    only_open: of those that may have been open, so far as the rows tell.
    """
    if only_open:
        grants = maybe_open(grants, at)
    issued = Event.objects.filter(
        subject_type="access_requests.grant", subject_id=OuterRef("key"), verb=V.GRANT_ISSUED
    )
    named = grants.filter(created_at__lte=at).annotate(key=Cast("pk", CharField()))
    return named.filter(~Exists(issued)).count()


def maybe_open(grants: "QuerySet[Grant]", at: datetime) -> "QuerySet[Grant]":
    """Without those that the rows alone tell were closed by then, or of which nothing was to be had.

    No act moves an end to a time before the act, so an end that the row says had passed had passed.
    """
    revoked = Q(status=Grant.Status.REVOKED, status_changed_at__lte=at)
    closed = revoked | Q(close_out__closed_at__lte=at)
    return grants.filter(ends_at__gt=at, release__in=_published(at)).exclude(closed)


def _published(at: datetime) -> list[int]:
    catalogue = _Catalogue(Release.objects.in_bulk(), at)
    return [pk for pk, release in catalogue.releases.items() if release.is_published]


def _refusal(grant: Grant, tier: Tier, at: datetime) -> Refusal | None:
    try:
        check_grant(grant, tier=tier, at=at)
    except Refusal as refusal:
        return refusal
    return None


def _as_it_was(row: Grant, events: Events, at: datetime) -> Grant:
    """A copy of the row with the values that the events give it one after the other."""
    grant = copy(row)
    grant.status_reason = ""  # words are in no event, and the row has those of the last act alone
    closed = False
    for event in events:
        data = event.data
        if event.verb in STATUS:
            grant.status = STATUS[V(event.verb)]
            grant.status_changed_at = event.at
        if event.verb in TERMS:
            grant.tier = data["tier"]
            grant.application_id = data.get("application", grant.application_id)
        if event.verb in (*TERMS, V.GRANT_CLOSED_OUT):
            grant.ends_at = datetime.fromisoformat(data["ends_at"])
        if event.verb in (*TERMS, V.GRANT_REACCEPTED):
            grant.acceptance_id = data.get("acceptance", grant.acceptance_id)
        closed = closed or event.verb == V.GRANT_CLOSED_OUT
    if not closed:
        CloseOut.grant.field.remote_field.set_cached_value(grant, None)
    return grant


def _log(
    subject_type: str, pks: Iterable[object], *, until: datetime | None = None
) -> Mapping[str, Events]:
    """The events about these subjects, oldest first."""
    found = Event.objects.filter(
        subject_type=subject_type, subject_id__in=sorted({str(pk) for pk in pks})
    )
    if until:
        found = found.filter(at__lte=until)
    log: dict[str, Events] = defaultdict(list)
    for event in found.select_related("actor").order_by("id"):
        log[event.subject_id].append(event)
    return log


def _acceptances(log: Mapping[str, Events]) -> dict[int, LicenceAcceptance]:
    named = {event.data.get("acceptance") for events in log.values() for event in events}
    return (
        LicenceAcceptance.objects.select_related("licence_version__licence")
        .defer("licence_version__text")
        .in_bulk([pk for pk in named if pk])
    )


def _accounts(people: dict[int, Account], at: datetime) -> dict[int, Account]:
    """The accounts, open or closed as they were."""
    log = _log("accounts.account", people)
    found = {}
    for pk, person in people.items():
        then = copy(person)
        then.is_active = _was_open(person, log[str(pk)], at)
        found[pk] = then
    return found


def _was_open(person: Account, events: Events, at: datetime) -> bool:
    turns = [event for event in events if event.verb in OPENS]
    before = [event for event in turns if event.at <= at]
    if before:
        return OPENS[V(before[-1].verb)]
    # Nothing had happened yet: it was the other way round than what happened first, or as it is.
    return not OPENS[V(turns[0].verb)] if turns else person.is_active


class _Catalogue:
    """Releases, their families and licences as they were."""

    def __init__(self, rows: dict[int, Release], at: datetime) -> None:
        log = _log("catalog.release", rows)
        versions = Prefetch("licence__versions", queryset=LicenceVersion.objects.defer("text"))
        families = Family.objects.select_related("licence").prefetch_related(versions)
        self.families = {family.pk: family for family in families}
        self.licences = {family.licence_id: family.licence for family in self.families.values()}
        self.family_log = _log("catalog.family", self.families)
        self.at = at
        self.releases = {pk: self._release(row, log[str(pk)]) for pk, row in rows.items()}

    def _release(self, row: Release, events: Events) -> Release:
        then = copy(row)
        then.status = self._status(row, events)
        family = copy(self.families[_edited(events, "family", row.family_id, self.at)])
        log = self.family_log[str(family.pk)]
        family.licence = self._licence(_edited(log, "licence", family.licence_id, self.at))
        then.family = family
        return then

    def _status(self, row: Release, events: Events) -> str:
        turns = [event for event in events if event.verb in RELEASE_STATUS]
        if before := [event for event in turns if event.at <= self.at]:
            return RELEASE_STATUS[V(before[-1].verb)]
        return str(turns[0].data.get("before", row.status)) if turns else row.status

    def _licence(self, pk: int) -> Licence:
        """Also one that no family is under any more."""
        if pk not in self.licences:
            self.licences[pk] = Licence.objects.prefetch_related("versions").get(pk=pk)
        return self.licences[pk]


def _edited(events: Events, field: str, now: Any, at: datetime) -> Any:
    """What `field` was at `at`: what the first edit after it changed, or what it still is."""
    for event in events:
        before = event.data.get("before")
        if event.at > at and isinstance(before, dict) and field in before:
            return before[field]
    return now
