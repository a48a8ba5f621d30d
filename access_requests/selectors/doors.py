"""The one rule that every door asks: does this grant open this release, now, at this tier?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils import timezone

from access_requests.models import Application, CloseOut, Grant, LicenceAcceptance, Renewal, Tier
from access_requests.selectors.applications import open_application
from access_requests.selectors.search import reference_in
from access_requests.selectors.second_looks import seen_by
from portal.accounts import roles
from portal.accounts.addresses import with_addresses_normalised
from portal.accounts.models import Account
from portal.catalog.models import Licence, LicenceVersion, Release
from portal.prepared import Asked, Prepared
from portal.refusals import Code, Refusal

_RANK = {Tier.TRY: 0, Tier.WEIGHTS: 1}


@dataclass(frozen=True)
class Standing:
    """A grant as its holder sees it: what it is, and why it opens nothing now, if so."""

    grant: Grant
    refusal: Refusal | None

    @property
    def is_open(self) -> bool:
        return self.refusal is None

    @property
    def accept_by(self) -> datetime | None:
        """Until when a newer licence text has to be accepted, so that it stays open."""
        return accept_by(self.grant) if self.is_open else None


def with_parts(grants: "QuerySet[Grant]") -> "QuerySet[Grant]":
    """With all that the rule looks at, in a fixed number of queries."""
    versions = Prefetch(
        "release__family__licence__versions", queryset=LicenceVersion.objects.defer("text")
    )
    return (
        grants.select_related(
            "account",
            "release__family__licence",
            "acceptance__licence_version",
            "application",
            "close_out",
        )
        .defer("acceptance__licence_version__text")
        .prefetch_related(versions)
    )


def _behind(grants: "QuerySet[Grant]") -> "QuerySet[Grant]":
    """With what `check_grant` looks at beside the licence's versions, and no long texts."""
    long = ("account__password", "release__model_card", "release__family__summary")
    return (
        grants.select_related(
            "account", "release__family__licence", "acceptance__licence_version", "close_out"
        )
        .defer("acceptance__licence_version__text", "release__family__licence__summary", *long)
        .order_by()
    )


def _versions(licences: "QuerySet[LicenceVersion]") -> "QuerySet[LicenceVersion]":
    return licences.defer("text").order_by()


_GRANT = Prepared(lambda pk: _behind(Grant.objects.filter(pk=pk)), 0)
_VERSIONS = Prepared(
    lambda grant: _versions(
        LicenceVersion.objects.filter(licence__families__releases__grants=grant)
    ),
    0,
)


def asks_for_grant(pk: int) -> tuple[Asked[list[Grant]], Asked[list[LicenceVersion]]]:
    """What `grant_from` makes a grant of that our own signature names. Two queries, written once a process: they
    are asked at every opening of a link.
    """
    return _GRANT.of(pk), _VERSIONS.of(pk)


def grant_from(grants: list[Grant], versions: list[LicenceVersion]) -> Grant | None:
    """The grant with its licence's versions, as `check_grant` looks at it; None where there is no such grant."""
    if not grants:
        return None
    licence = grants[0].release.family.licence
    known: dict[str, Any] = getattr(licence, "_prefetched_objects_cache", {})
    found = LicenceVersion.objects.none()
    found._result_cache = versions
    licence._prefetched_objects_cache = known | {"versions": found}  # type: ignore[attr-defined]
    return grants[0]


def grants_behind(pks: Iterable[int]) -> "QuerySet[Grant]":
    """The same of many, in two queries."""
    versions = Prefetch(
        "release__family__licence__versions", queryset=_versions(LicenceVersion.objects.all())
    )
    return _behind(Grant.objects.filter(pk__in=list(pks))).prefetch_related(versions)


def renewals() -> "QuerySet[Renewal]":
    """For reviewers."""
    return Renewal.objects.select_related(
        "grant__account", "grant__release__family", "grant__application", "decided_by"
    )


def grants_touched_by(licence: Licence) -> "QuerySet[Grant]":
    """The grants that a new version of the licence would touch: not revoked, not ended."""
    standing = Grant.objects.exclude(status=Grant.Status.REVOKED)
    return with_parts(standing.filter(release__family__licence=licence, ends_at__gt=timezone.now()))


def running(grants: "QuerySet[Grant]") -> "QuerySet[Grant]":
    """Those that are active, in their time and not closed out. Licence and release are asked at each use."""
    now = timezone.now()
    return grants.filter(
        status=Grant.Status.ACTIVE,
        starts_at__lte=now,
        ends_at__gt=now,
        close_out__isnull=True,
        account__is_active=True,
    )


def all_grants() -> "QuerySet[Grant]":
    """For reviewers."""
    return with_parts(Grant.objects.all())


def grants_found(grants: "QuerySet[Grant]", text: str) -> "QuerySet[Grant]":
    """Those whose holder's name or address, or whose release, holds every word of `text`; those of
    the application that it is the reference of.
    """
    if pk := reference_in(text):
        return grants.filter(application=pk)
    found = grants
    for word in with_addresses_normalised(text).split()[:12]:
        people = Account.objects.filter(Q(name__icontains=word) | Q(email__icontains=word))
        releases = list(
            Release.objects.filter(repo_id__icontains=word).values_list("pk", flat=True)
        )
        found = found.filter(Q(account__in=people.values("pk")) | Q(release__in=releases))
    return found


def grants_of(account: Account) -> "QuerySet[Grant]":
    """Every grant the person ever had, newest first. Whether one is open: `standing_of`."""
    return with_parts(account.grants.all()).prefetch_related("renewals")


def grants_from(application: Application) -> "QuerySet[Grant]":
    """The applicant's grants that stand on this application; the co-applicants' are theirs."""
    return with_parts(application.grants.filter(account=application.applicant_id))


def acceptances_of(account: Account) -> "QuerySet[LicenceAcceptance]":
    """The licence texts that the person accepted, newest first."""
    return account.acceptances.select_related("licence_version__licence").order_by("-accepted_at")


def agreement_of(account: Account, pk: int) -> LicenceAcceptance:
    """One's own acceptance, with its text. Raises Http404 for all others, whoever asks."""
    found = account.acceptances.select_related("licence_version__licence").filter(pk=pk).first()
    if found is None:
        raise Http404("no such agreement, or another person's")
    return found


def own_grant(account: Account, pk: int) -> Grant:
    """One's own grant. Raises Http404 for all others, whoever asks."""
    found = with_parts(account.grants.all()).filter(pk=pk).first()
    if found is None:
        raise Http404("no such grant, or another person's")
    return found


def visible_grant(account: Account, pk: int) -> Grant:
    """One's own grant, or for reviewers any. Raises Http404 for all others."""
    visible = Grant.objects.all() if roles.is_reviewer(account) else account.grants.all()
    found = with_parts(seen_by(account, visible)).filter(pk=pk).first()
    if found is None:
        raise Http404("no such grant, or none that this person may know of")
    return found


def usable_grants(account: Account) -> list[Grant]:
    """The grants that open at least the sandbox now."""
    return [grant for grant in grants_of(account) if standing_of(grant).is_open]


def standing_of(grant: Grant, *, tier: Tier = Tier.TRY) -> Standing:
    """`check_grant` as a value."""
    try:
        check_grant(grant, tier=tier)
    except Refusal as refusal:
        return Standing(grant, refusal)
    return Standing(grant, None)


def grant_for(
    account: Account | AnonymousUser, release: Release, *, tier: Tier = Tier.TRY
) -> Grant:
    """The grant that opens `release` for `account` now. Raises Refusal with the precise cause."""
    if not isinstance(account, Account):
        raise Refusal(
            Code.NOT_SIGNED_IN,
            f"{release.name} is open to people with a grant, and we do not know who you are.",
            "Sign in, or send a token.",
            url=f"{reverse('account_login')}?next={release.get_absolute_url()}",
        )
    refusals: list[Refusal] = []
    for grant in grants_of(account).filter(release=release):
        try:
            check_grant(grant, tier=tier)
        except Refusal as refusal:
            refusals.append(refusal)
        else:
            return grant
    raise refusals[0] if refusals else _no_grant(account, release)


def check_grant(grant: Grant, *, tier: Tier, at: datetime | None = None) -> None:
    """Return when the grant opens its release now at `tier`; else raise Refusal with the precise
    cause.

    `at`: a moment in the past, for a grant that `selectors.past` brought back as it was then.
    """
    now = at or timezone.now()
    release = grant.release
    _check_holder(grant)
    _check_status(grant)
    if made := closed_out(grant):
        raise Refusal(
            Code.EXPIRED,
            f"You closed your grant for {release.name}, stating that your copies are destroyed.",
            "Apply again to use it again: your old answers are a good start.",
            since=made.closed_at,
            url=_apply_url(release),
        )
    if release.status == Release.Status.WITHDRAWN:
        raise _withdrawn(release)
    if grant.ends_at <= now:
        raise Refusal(
            Code.EXPIRED,
            f"Your grant for {release.name} ended on {grant.ends_at:%-d %B %Y}.",
            "Apply again: your old answers are a good start.",
            since=grant.ends_at,
            url=_apply_url(release),
        )
    if grant.starts_at > now:
        raise Refusal(
            Code.NOT_GRANTED,
            f"Your grant for {release.name} begins on {grant.starts_at:%-d %B %Y}.",
            "Come back on that day.",
        )
    if (since := licence_closed_since(grant, at=now)) and since <= now:
        raise Refusal(
            Code.LICENCE_CHANGED,
            f"The licence of {release.name} has a new version that you have not accepted.",
            "Read and accept it; your grant then opens again at once.",
            since=since,
            url=reverse("access_requests:accept", args=[grant.pk]),
        )
    if _RANK[tier] > _RANK[Tier(grant.tier)]:
        raise Refusal(
            Code.TIER_TOO_LOW,
            f"Your grant for {release.name} covers the sandbox, not the weights themselves.",
            "Apply for the weights, and say what you need them for.",
            url=_apply_url(release),
        )


def closed_out(grant: Grant) -> CloseOut | None:
    """The holder's statement that ended the grant, if there is one."""
    return getattr(grant, "close_out", None)


def _check_holder(grant: Grant) -> None:
    if not grant.account.is_active:
        raise Refusal(
            Code.SUSPENDED,
            "The account that holds this grant is closed.",
            "Ask a manager of this site to open it.",
        )


def _check_status(grant: Grant) -> None:
    name = grant.release.name
    reason = f" Reason: {grant.status_reason}" if grant.status_reason else ""
    if grant.status == Grant.Status.REVOKED:
        raise Refusal(
            Code.REVOKED,
            f"Your grant for {name} was revoked.{reason}",
            "If the reason is mistaken, answer the mail about it; if it is mended, apply again.",
            since=grant.status_changed_at,
            url=_apply_url(grant.release),
        )
    if grant.status == Grant.Status.SUSPENDED:
        raise Refusal(
            Code.SUSPENDED,
            f"Your grant for {name} is suspended.{reason}",
            "Answer the mail about it; a manager can lift the suspension.",
            since=grant.status_changed_at,
            url=reverse("access_requests:mine"),
        )


def accept_by(grant: Grant) -> datetime | None:
    """Until when the grant stays open under the text that was accepted; None when no day is set for
    it, or that day is past.
    """
    closes = licence_closed_since(grant)
    return closes if closes and closes > timezone.now() else None


def licence_closed_since(grant: Grant, *, at: datetime | None = None) -> datetime | None:
    """From when a newer licence version closes this grant (maybe in the future); None when none
    does.
    """
    now = at or timezone.now()
    accepted = grant.acceptance.licence_version
    licence = grant.release.family.licence
    if accepted.licence_id != licence.pk:  # the family came under another licence
        versions = [v.published_at for v in licence.versions.all()]
        return min(versions, default=None)
    closings = []
    for version in licence.versions.all():
        if version.number <= accepted.number or version.published_at > now:
            continue
        if version.standing_grants == LicenceVersion.Standing.SUSPEND:
            closings.append(version.published_at)
        elif version.standing_grants == LicenceVersion.Standing.REACCEPT:
            closings.append(version.published_at + timedelta(days=version.reaccept_days))
    return min(closings, default=None)


def _withdrawn(release: Release) -> Refusal:
    return Refusal(
        Code.WITHDRAWN,
        f"{release.name} was withdrawn by its publisher and is not given out any more.",
        "See the catalogue for other releases of the family.",
        url=reverse("catalog:releases"),
    )


def _no_grant(account: Account, release: Release) -> Refusal:
    if release.status == Release.Status.WITHDRAWN:
        return _withdrawn(release)
    running = open_application(account, release.family)
    if running is None:
        return Refusal(
            Code.NOT_GRANTED,
            f"You have no grant for {release.name}.",
            "Apply for it; the form takes about ten minutes.",
            url=_apply_url(release),
        )
    return Refusal(
        Code.NOT_GRANTED,
        f"You have no grant for {release.name} yet: application {running.reference} is "
        f"“{running.get_state_display()}”.",
        "See your application for what happens next.",
        url=running.get_absolute_url(),
    )


def _apply_url(release: Release) -> str:
    return f"{reverse('access_requests:apply', args=[release.family.slug])}?release={release.slug}"
