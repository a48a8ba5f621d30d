"""Reads of what is published."""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from distribution.models import Artifact, Download, Revision
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.prepared import Prepared
from portal.refusals import Code, Refusal


def require_published(release: Release) -> None:
    """Raise the Refusal WITHDRAWN or NOT_PUBLISHED unless the release can be had."""
    if release.status == Release.Status.WITHDRAWN:
        raise Refusal(
            Code.WITHDRAWN,
            f"{release.repo_id} was withdrawn by its publisher; nobody can get it now.",
            "Look on its page for what replaces it.",
            url=release.get_absolute_url(),
        )
    if not release.is_published:
        raise _not_published(release)


def current_revision(release: Release) -> Revision:
    """The revision that people get now. Raises the Refusal WITHDRAWN or NOT_PUBLISHED."""
    require_published(release)
    revision = Revision.objects.filter(release=release, is_current=True).first()
    if revision is None:
        raise _not_published(release)
    return revision


def files(release: Release) -> "QuerySet[Artifact]":
    """The files of the current revision, by path. Raises as `current_revision` does."""
    return current_revision(release).artifacts.order_by("path")


_ARTIFACT = Prepared(
    lambda pk: Artifact.objects.select_related("revision").filter(pk=pk).order_by(), 0
)


def artifact_behind(pk: int) -> Artifact | None:
    """The file that a genuine token names."""
    return _ARTIFACT.first(pk)


def files_url(release: Release) -> str:
    """The page where a fresh link is to be had."""
    return reverse("distribution:files", args=[release.slug])


def _not_published(release: Release) -> Refusal:
    return Refusal(
        Code.NOT_PUBLISHED,
        f"The weights of {release.repo_id} are not published on this site.",
        "Look on its page for who publishes them.",
        url=release.get_absolute_url(),
    )


def downloads_of(account: Account) -> list[dict[str, Any]]:
    """Every request on a link of the person's, for that person."""
    rows = Download.objects.filter(grant__account=account).order_by("id")
    names = (
        "started_at",
        "artifact__path",
        "outcome",
        "code",
        "bytes_asked",
        "network",
        "user_agent",
    )
    return list(rows.values("grant__release__repo_id", *names))
