"""What managers read about downloads: of one release, or under one grant."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone
from django_countries import countries

from access_requests.models import Grant
from access_requests.selectors import running
from distribution import coverage, selectors
from distribution.models import (
    Alarm,
    Artifact,
    Download,
    FileUse,
    NetworkList,
    NetworkRange,
    Revision,
)
from distribution.networks import sortable
from portal.catalog.models import Release

MOST_ROWS = 100  # of a page; the export has them all
MOST_NETWORKS = 500  # whose country is looked up for one page
LEFT = Coalesce("bytes_sent", "bytes_counted")  # what left, as well as it is known
DENIED = Q(outcome=Download.Outcome.DENIED)


@dataclass(frozen=True)
class Place:
    """What went to a network, or to a country; `country` is "" where no table knows it."""

    name: str
    country: str
    requests: int
    size: int


@dataclass(frozen=True)
class Holder:
    """What went to one person."""

    grant: Grant
    requests: int
    size: int
    networks: int
    copies: int  # whole ones of the release: every byte of every file
    last: datetime
    alarms: int


@dataclass(frozen=True)
class FileState:
    """How much of a file went out under a grant."""

    artifact: Artifact
    begun: int
    whole: int
    percent: int  # of the newest copy


@dataclass(frozen=True)
class Reach:
    """How many people and transfers feel it when a release or a revision closes."""

    holders: int  # people whose grant runs
    transfers: int  # downloads on their way
    downloaders: int  # people who have bytes of the revision


def reach_of(release: Release, revision: Revision | None = None) -> Reach:
    """Of the whole release, or of one revision of it."""
    now = timezone.now()
    grants = running(Grant.objects.filter(release=release))
    transfers = Download.objects.filter(grant__release=release, busy_until__gt=now)
    if revision:
        transfers = transfers.filter(artifact__revision=revision)
    return Reach(
        holders=grants.values("account").distinct().count(),
        transfers=transfers.count(),
        downloaders=selectors.holders_of(revision).count() if revision else 0,
    )


def downloads_of(
    *, release: Release | None = None, grant: Grant | None = None
) -> "QuerySet[Download]":
    """Every request that named this grant, or a grant for this release; newest first."""
    about = {"grant": grant} if grant else {"grant__release": release}
    return Download.objects.filter(**about)


def latest(rows: "QuerySet[Download]") -> "QuerySet[Download]":
    return rows.select_related("grant__account", "artifact")[:MOST_ROWS]


def per_day(rows: "QuerySet[Download]", days: int) -> list[tuple[date, int]]:
    """Bytes of each of the last `days` days (UTC), also of those without any."""
    today = timezone.now().date()
    first = today - timedelta(days=days - 1)
    found = dict(
        _within(rows, days)
        .exclude(DENIED)
        .annotate(day=TruncDate("started_at"))
        .values("day")
        .annotate(size=Sum(LEFT))
        .values_list("day", "size")
    )
    every = (first + timedelta(days=number) for number in range(days))
    return [(day, found.get(day) or 0) for day in every]


def denials(rows: "QuerySet[Download]", days: int) -> list[dict[str, Any]]:
    """Each cause with how often and when last, the commonest first."""
    denied = _within(rows, days).filter(DENIED)
    counted = denied.values("code").annotate(times=Count("pk"), last=Max("started_at"))
    return [dict(one) for one in counted.order_by("-times", "code")]


def places(rows: "QuerySet[Download]", days: int) -> tuple[list[Place], list[Place]]:
    """By network, and by the country that it is registered in; the largest first."""
    found = (
        _within(rows, days)
        .exclude(DENIED)
        .values("network")
        .annotate(requests=Count("pk"), size=Coalesce(Sum(LEFT), 0))
        .order_by("-size", "network")
    )
    networks = [
        Place(
            one["network"] or "unknown",
            country_of(one["network"]) if number < MOST_NETWORKS else "",
            one["requests"],
            one["size"],
        )
        for number, one in enumerate(found)
    ]
    return networks, _by_country(networks)


def _by_country(networks: Iterable[Place]) -> list[Place]:
    requests: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for place in networks:
        requests[place.country] += place.requests
        sizes[place.country] += place.size
    made = [Place(country_name(code), code, requests[code], sizes[code]) for code in requests]
    return sorted(made, key=lambda place: (-place.size, place.name))


def country_of(network: str) -> str:
    """The two letters of the country; "" where the table in use does not know, or none is loaded."""
    table = NetworkList.objects.filter(is_current=True).values_list("pk", "sha256").first()
    return _country(*table, network) if table and network else ""


@lru_cache(maxsize=20_000)
def _country(table: int, sha256: str, network: str) -> str:
    """A table never changes, so what it says of a network is asked once. sha256: tells two tables apart."""
    first = sortable(ip_network(network).network_address)
    ranges = NetworkRange.objects.filter(of=table, first__lte=first)
    found = ranges.order_by("-first").first()
    return found.country if found and found.last >= first else ""


def country_name(code: str) -> str:
    return str(countries.name(code) or code) if code else "unknown"


def holders(release: Release, days: int) -> list[Holder]:
    """Who downloaded of the release, those with the most bytes first."""
    rows = _within(downloads_of(release=release), days)
    counted = (
        rows.order_by()
        .values("grant")
        .annotate(
            requests=Count("pk"),
            size=Coalesce(Sum(LEFT, filter=~DENIED), 0),
            networks=Count("network", distinct=True, filter=~Q(network="") & ~DENIED),
            last=Max("started_at"),
        )
    )
    found = {one["grant"]: one for one in counted.order_by("-size", "grant")[:MOST_ROWS]}
    grants = Grant.objects.select_related("account", "release").in_bulk(found)
    standing = Alarm.objects.filter(grant__in=grants, dismissed_at=None)
    alarms = Counter(standing.values_list("grant", flat=True))
    copies = _whole_copies(release, list(grants))
    return [
        Holder(
            grants[pk],
            one["requests"],
            one["size"],
            one["networks"],
            copies.get(pk, 0),
            one["last"],
            alarms[pk],
        )
        for pk, one in found.items()
    ]


def _whole_copies(release: Release, grants: list[int]) -> dict[int, int]:
    """grant → as often as every file of the current revision went out whole."""
    files = set(
        Artifact.objects.filter(revision__release=release, revision__is_current=True).values_list(
            "pk", flat=True
        )
    )
    whole: dict[int, dict[int, int]] = {}
    uses = FileUse.objects.filter(grant__in=grants, artifact__in=files)
    for grant, artifact, completed in uses.values_list("grant", "artifact", "completed"):
        whole.setdefault(grant, {})[artifact] = completed
    return {grant: min(done.values()) if set(done) == files else 0 for grant, done in whole.items()}


def files_of(grant: Grant) -> list[FileState]:
    """Every file that went out under the grant, in part or whole."""
    uses = FileUse.objects.filter(grant=grant, copies__gt=0).select_related("artifact")
    return [
        FileState(
            use.artifact,
            use.copies,
            use.completed,
            100 * coverage.total(use.pieces) // use.artifact.size if use.artifact.size else 100,
        )
        for use in uses.order_by("artifact__path")
    ]


def standing_alarms(
    *, release: Release | None = None, grant: Grant | None = None
) -> "QuerySet[Alarm]":
    """What no manager has looked at yet."""
    about = {"grant": grant} if grant else {"grant__release": release}
    return Alarm.objects.filter(dismissed_at=None, **about).select_related(
        "grant__account", "grant__release"
    )


def _within(rows: "QuerySet[Download]", days: int) -> "QuerySet[Download]":
    first = timezone.now().date() - timedelta(days=days - 1)
    return rows.order_by().filter(started_at__gte=datetime.combine(first, time.min, UTC))
