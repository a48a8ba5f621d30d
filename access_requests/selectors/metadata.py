"""Who may read what is known of a release's files: names, sizes, hashes, revisions.

Public metadata are for everybody. Where they are private, the release is not there at all for whoever has nothing to do
with it; who holds a grant that is closed, or has applied, is told the reason.
"""

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet

from access_requests.models import Application, Grant
from access_requests.selectors.doors import grant_for
from access_requests.selectors.hub import hub_release, no_such_release
from portal.accounts import roles
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Refusal


def releases_known_to(account: Account | AnonymousUser) -> "QuerySet[Release]":
    """The releases whose metadata are public, or that this person has to do with."""
    releases = Release.objects.select_related("family__licence")
    if roles.is_reviewer(account):
        return releases
    known = Q(metadata=Release.Metadata.PUBLIC)
    if isinstance(account, Account):
        granted = Grant.objects.filter(account=account, release=OuterRef("pk"))
        asked = Application.objects.filter(applicant=account, releases=OuterRef("pk"))
        known |= Q(Exists(granted)) | Q(Exists(asked))
    return releases.filter(known)


def release_known_to(account: Account | AnonymousUser, repo: str) -> Release:
    """The release of that repo id. Raises Refusal NOT_FOUND, in the same words whether there is none or
    none that this person may know of.
    """
    release = hub_release(repo)
    require_known(account, release, name=repo)
    return release


def require_known(
    account: Account | AnonymousUser, release: Release, *, name: str | None = None
) -> None:
    """Raises as `release_known_to` does. name: as it was asked for; its own spelling would show that it exists."""
    if not releases_known_to(account).filter(pk=release.pk).exists():
        raise no_such_release(name or release.repo_id)


def require_metadata(account: Account | AnonymousUser, release: Release) -> None:
    """Raise Refusal unless this person may read the metadata: NOT_FOUND where they may not even know of
    them, otherwise that of the grant.
    """
    if release.metadata == Release.Metadata.PUBLIC or roles.is_reviewer(account):
        return
    require_known(account, release)
    grant_for(account, release)


def may_read_metadata(account: Account | AnonymousUser, release: Release) -> bool:
    """`require_metadata` as a value."""
    try:
        require_metadata(account, release)
    except Refusal:
        return False
    return True
