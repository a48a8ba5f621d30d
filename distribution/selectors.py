"""Reads of what is published."""

import re
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from distribution.manifest import Entry, document
from distribution.models import Artifact, Download, Revision
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.prepared import Asked, Prepared
from portal.refusals import Code, Refusal

MAIN = "main"  # the one branch: whatever revision is current
HEAD = "HEAD"  # git's name for the default branch, which is that one
SHORTEST_PREFIX = 7  # hex digits of a digest that can stand for the whole


def is_branch(name: str) -> bool:
    """Whether the name can mean another revision tomorrow, a newer or an older one. Tags are never moved."""
    return name in (MAIN, HEAD)


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
    require_up(revision)
    return revision


def require_up(revision: Revision) -> None:
    """Raise the Refusal TAKEN_DOWN for a revision that was taken down."""
    if revision.taken_down_at is not None:
        raise Refusal(
            Code.TAKEN_DOWN,
            f"Revision {revision.digest[:12]} of {revision.release.repo_id} was taken down: "
            f"{revision.taken_down_reason}",
            "Look on the page of the release for the one that takes its place.",
            since=revision.taken_down_at,
            url=revision.release.get_absolute_url(),
        )


def require_runnable(revision: Revision) -> None:
    """Raise the Refusal NOT_RUNNABLE for a revision that people get, and the sandbox cannot run."""
    if revision.sandbox_note:
        raise Refusal(
            Code.NOT_RUNNABLE,
            revision.sandbox_note,
            "Download the files and run them with a program that takes them.",
            url=files_url(revision.release),
        )


def runnable(revisions: "QuerySet[Revision]") -> "QuerySet[Revision]":
    """Those that the sandbox can run: the same rule, for many."""
    if settings.SANDBOX_ENGINE_URL:
        return revisions.filter(sandbox_notes__tokenizer__isnull=True)
    return revisions.filter(sandbox_notes={})


def revisions_behind(artifacts: Iterable[int]) -> dict[int, Revision]:
    """The revision of each of these files as it stands now, by the file's id. One query."""
    found = Artifact.objects.filter(pk__in=set(artifacts)).select_related("revision__release")
    return {artifact.pk: artifact.revision for artifact in found}


def holders_of(revision: Revision) -> "QuerySet[Account]":
    """Everybody who downloaded bytes of some file of the revision, and still has an account."""
    served = Download.objects.filter(
        artifact__revision=revision, bytes_asked__gt=0, grant__isnull=False
    ).exclude(outcome=Download.Outcome.DENIED)
    return Account.objects.filter(pk__in=served.values("grant__account"), is_active=True)


def revision_named(release: Release, name: str) -> Revision:
    """The revision that a program means: `main` or `HEAD`, a tag, 40 hex digits or the first of them.

    Raises the Refusal NOT_FOUND where no revision, or more than one, has that name, and as
    `current_revision` does.
    """
    if is_branch(name):
        return current_revision(release)
    require_published(release)
    revisions = Revision.objects.filter(release=release)
    found = list(revisions.filter(tags__name=name)[:1]) if "\0" not in name else []
    if not found and re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},40}}", name):
        found = list(revisions.filter(digest__startswith=name)[:2])
    if len(found) == 1:
        require_up(found[0])
        return found[0]
    few = "More than one revision" if found else "No revision"
    raise Refusal(
        Code.NOT_FOUND,
        f"{few} of {release.repo_id} is called {name[:60]!r}.",
        f"Ask for `{MAIN}`, or for the names on its files page.",
        url=files_url(release),
    )


def artifact_named(release: Release, revision: str, path: str) -> Artifact | None:
    """The file of that path in the revision of that name; None where either is not there."""
    try:
        return artifact_at(revision_named(release, revision), path)
    except Refusal:
        return None


def artifact_at(revision: Revision, path: str) -> Artifact | None:
    """The file of that path; None where it is not there."""
    return revision.artifacts.filter(path=path).first() if "\0" not in path else None


def entries(revision: Revision) -> list[Entry]:
    """The rows of its manifest. Raises the Refusal UNAVAILABLE where chunks were never hashed."""
    found = [artifact.entry for artifact in revision.artifacts.all()]
    if any(entry.size and not entry.chunks for entry in found):
        raise Refusal(
            Code.UNAVAILABLE,
            f"Revision {revision.digest[:12]} was published before manifests had chunks.",
            "Its publisher has to publish the same folder once more.",
        )
    return found


def manifest_of(revision: Revision) -> bytes:
    """The manifest as it is served and signed. Raises as `entries` does."""
    return document(revision.release.repo_id, revision.digest, entries(revision))


def files(release: Release, revision: Revision | None = None) -> "QuerySet[Artifact]":
    """The files of a revision of the release, by path; of the current one where none is given.

    Raises as `current_revision` does.
    """
    if revision is None:
        revision = current_revision(release)
    require_published(release)
    require_up(revision)
    return revision.artifacts.order_by("path")


_ARTIFACT = Prepared(
    lambda pk: Artifact.objects.select_related("revision").filter(pk=pk).order_by(), 0
)


def asks_for_artifact(pk: int) -> Asked[list[Artifact]]:
    """The file that a genuine token names, if it is there."""
    return _ARTIFACT.of(pk)


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
