"""Giving out links."""

from datetime import datetime, timedelta

from django.utils import timezone

from access_requests.models import Grant, Tier
from access_requests.selectors import check_grant, grant_for
from distribution import links, selectors
from distribution.links import Link
from distribution.models import Artifact, Revision
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.refusals import Code, Refusal


def issue_link(artifact: Artifact, *, grant: Grant, actor: Account) -> Link:
    """One link for one file under one grant. Raises the Refusal of the grant or of the release.

    Call it outside a transaction that a refusal would roll back: the denial is an event, and has
    to stay.
    """
    release = artifact.revision.release
    try:
        _require_own(grant, artifact)
        check_grant(grant, tier=Tier.WEIGHTS)
        selectors.require_published(release)
        selectors.require_up(artifact.revision)
    except Refusal as refusal:
        _denied(release, refusal, actor)
        raise
    link = _link(artifact, grant, _expiry(release, grant))
    _issued(release, grant, [link], actor)
    return link


def issue_links(
    release: Release,
    *,
    actor: Account,
    paths: list[str] | None = None,
    revision: Revision | None = None,
) -> list[Link]:
    """Links for the files of a revision, the current one where none is given, all of them or those
    named; one event for all.

    Raises the Refusal of the grant or of the release, and NOT_FOUND where a named file is not
    there. Call it outside a transaction that a refusal would roll back: the denial is an event,
    and has to stay.
    """
    try:
        grant = grant_for(actor, release, tier=Tier.WEIGHTS)
        artifacts = _chosen(release, revision, paths)
    except Refusal as refusal:
        _denied(release, refusal, actor)
        raise
    expires_at = _expiry(release, grant)
    issued = [_link(artifact, grant, expires_at) for artifact in artifacts]
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


def _require_own(grant: Grant, artifact: Artifact) -> None:
    if grant.release_id != artifact.revision.release_id:
        raise Refusal(
            Code.NOT_GRANTED,
            f"This grant is for another release than {artifact.revision.release.repo_id}.",
            "Apply for that release.",
            url=artifact.revision.release.get_absolute_url(),
        )


def _expiry(release: Release, grant: Grant) -> datetime:
    # A link never outlives its grant, so that what it says of its expiry is true.
    wanted = min(timezone.now() + timedelta(hours=release.link_hours), grant.ends_at)
    return wanted.replace(microsecond=0)


def _link(artifact: Artifact, grant: Grant, expires_at: datetime) -> Link:
    url = links.url(grant.pk, artifact, expires_at=expires_at)
    return Link(artifact.path, url, expires_at, artifact.size, artifact.sha256)


def _issued(release: Release, grant: Grant, issued: list[Link], actor: Account) -> None:
    record(
        Verb.LINK_ISSUED,
        grant,
        actor=actor,
        release=release.pk,
        files=len(issued),
        expires_at=issued[0].expires_at.isoformat() if issued else None,
    )


def _denied(release: Release, refusal: Refusal, actor: Account) -> None:
    record(Verb.LINK_DENIED, release, actor=actor, code=str(refusal.code))
