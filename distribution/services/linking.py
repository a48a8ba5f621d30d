"""Giving out links."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network

from django.utils import timezone

from access_requests.models import Grant, Tier
from access_requests.selectors import check_grant, grant_for
from distribution import links, selectors
from distribution.links import Link
from distribution.models import Artifact, LinkTerms, Revision
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.refusals import Code, Refusal


@dataclass(frozen=True)
class Terms:
    """What links are bound to beside grant, file and time. network: CIDR, "" for any; uses: None for any number."""

    network: str = ""
    uses: int | None = None

    @property
    def bind(self) -> bool:
        return bool(self.network) or self.uses is not None


FREE = Terms()


def issue_link(artifact: Artifact, *, grant: Grant, actor: Account, terms: Terms = FREE) -> Link:
    """One link for one file under one grant. Raises the Refusal of the grant or of the release.

    Call it outside a transaction that a refusal would roll back: the denial is an event, and has
    to stay.
    """
    release = artifact.revision.release
    try:
        check_own_grant(grant, release)
        selectors.require_published(release)
        selectors.require_up(artifact.revision)
    except Refusal as refusal:
        record_denial(release, refusal, actor=actor)
        raise
    (link,) = _made([artifact], grant, _expiry(release, grant), _checked(terms))
    _issued(release, grant, [link], actor)
    return link


def issue_links(
    release: Release,
    *,
    actor: Account,
    paths: list[str] | None = None,
    revision: Revision | None = None,
    grant: Grant | None = None,
    terms: Terms = FREE,
) -> list[Link]:
    """Links for the files of a revision, the current one where none is given, all of them or those
    named; one event for all. grant: the one that has to open the release; without it, any of theirs.

    Raises the Refusal of the grant or of the release, NOT_FOUND where a named file is not there, and
    INVALID for terms that make no sense. Call it outside a transaction that a refusal would roll back:
    the denial is an event, and has to stay.
    """
    try:
        if grant is None:
            grant = grant_for(actor, release, tier=Tier.WEIGHTS)
        else:
            check_own_grant(grant, release)
        artifacts = _chosen(release, revision, paths)
    except Refusal as refusal:
        record_denial(release, refusal, actor=actor)
        raise
    issued = _made(artifacts, grant, _expiry(release, grant), _checked(terms))
    _issued(release, grant, issued, actor)
    return issued


def _chosen(release: Release, revision: Revision | None, paths: list[str] | None) -> list[Artifact]:
    artifacts = list(selectors.files(release, revision))
    if paths is None:
        return artifacts
    if unknown := sorted(set(paths) - {artifact.path for artifact in artifacts}):
        raise Refusal(
            Code.NOT_FOUND,
            f"{release.repo_id} has no file {', '.join(map(repr, unknown[:5]))}.",
            "Ask for the names that its list of files gives.",
            url=selectors.files_url(release),
        )
    return [artifact for artifact in artifacts if artifact.path in set(paths)]


def check_own_grant(grant: Grant, release: Release) -> None:
    """Raise a Refusal unless this very grant is for the release, and opens its weights now."""
    if grant.release_id != release.pk:
        raise Refusal(
            Code.NOT_GRANTED,
            f"This grant is for another release than {release.repo_id}.",
            "Apply for that release.",
            url=release.get_absolute_url(),
        )
    check_grant(grant, tier=Tier.WEIGHTS)


def _expiry(release: Release, grant: Grant) -> datetime:
    # A link never outlives its grant, so that what it says of its expiry is true.
    wanted = min(timezone.now() + timedelta(hours=release.link_hours), grant.ends_at)
    return wanted.replace(microsecond=0)


def _made(
    artifacts: list[Artifact], grant: Grant, expires_at: datetime, terms: Terms
) -> list[Link]:
    """One link for each file; where they are bound, each has its own row of terms, made in one query."""
    rows: list[LinkTerms] = []
    if terms.bind:
        rows = LinkTerms.objects.bulk_create(
            LinkTerms(grant=grant, artifact=artifact, network=terms.network, uses=terms.uses)
            for artifact in artifacts
        )
    ids: list[int | None] = [row.pk for row in rows] or [None] * len(artifacts)
    return [
        Link(
            artifact.path,
            links.url(grant.pk, artifact, expires_at=expires_at, terms_id=terms_id),
            expires_at,
            artifact.size,
            artifact.sha256,
        )
        for artifact, terms_id in zip(artifacts, ids, strict=True)
    ]


def _checked(terms: Terms) -> Terms:
    """The network as it is written in full. Raises the Refusal INVALID."""
    if terms.uses is not None and terms.uses < 1:
        raise _invalid("uses", "A link that may be used less than once opens nothing.")
    if not terms.network:
        return terms
    try:
        return Terms(str(ip_network(terms.network, strict=False)), terms.uses)
    except ValueError:
        raise _invalid(
            "network", f"{terms.network!r} is no network such as 203.0.113.0/24."
        ) from None


def _invalid(field: str, text: str) -> Refusal:
    return Refusal(
        Code.INVALID,
        text,
        "Give a network in CIDR notation and a number from 1 on, or leave them out.",
        fields={field: [text]},
    )


def _issued(release: Release, grant: Grant, issued: list[Link], actor: Account) -> None:
    record(
        Verb.LINK_ISSUED,
        grant,
        actor=actor,
        release=release.pk,
        files=len(issued),
        expires_at=issued[0].expires_at.isoformat() if issued else None,
    )


def record_denial(release: Release, refusal: Refusal, *, actor: Account) -> None:
    """The event of links that somebody asked for and did not get."""
    record(Verb.LINK_DENIED, release, actor=actor, code=str(refusal.code))
