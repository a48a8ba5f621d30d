"""From a folder to a published revision, and back out of sight."""

from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from distribution import checkpoints, folders, manifest
from distribution.errors import PublishError, StoreError
from distribution.hashing import Counter, Progress, hash_files
from distribution.manifest import Entry
from distribution.models import Artifact, Revision
from distribution.services import tagging
from distribution.stores import Store, get_store
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.refusals import Code, Refusal


@dataclass(frozen=True)
class Published:
    """changed is False where this very revision was the current one already."""

    revision: Revision
    changed: bool


def publish(
    folder: Path, *, repo_id: str, actor: Account | None, progress: Progress | None = None
) -> Revision:
    """Make the folder's files the current revision of a release. See `publish_folder`."""
    return publish_folder(folder, repo_id=repo_id, actor=actor, progress=progress).revision


def publish_folder(
    folder: Path,
    *,
    repo_id: str,
    actor: Account | None,
    tag: str = "",
    progress: Progress | None = None,
) -> Published:
    """Check the folder, hash it, store it, and only then, in one transaction, publish it.

    Run again it changes nothing; interrupted and run again it goes on, as files in the store are
    not written twice. actor: None for the operator at the command line. tag: a name for the
    revision. Raises PublishError, StoreError, and the Refusals NOT_ALLOWED for a person who is no
    manager and INVALID or CONFLICT for a tag that cannot be given.
    """
    _require_manager(actor)
    release = _release(repo_id)
    if tag:
        tagging.check_name(tag)
    paths = folders.walk(folder)
    layout = checkpoints.validate(folder, paths, model_parallel=release.model_parallel)
    entries = manifest.entries(hash_files(folder, paths, progress=progress))
    _store(folder, entries, get_store(), progress)
    return _record(release.pk, layout, entries, tag, actor=actor)


@transaction.atomic
def withdraw(release_id: int, *, actor: Account | None) -> Release:
    """Nobody gets the release from now on; its grants, revisions and bytes stay. Raises the
    Refusal WRONG_STATE.
    """
    _require_manager(actor)
    release = Release.objects.select_for_update().get(pk=release_id)
    if release.status == Release.Status.WITHDRAWN:
        raise Refusal(
            Code.WRONG_STATE,
            f"{release.repo_id} is withdrawn already.",
            "Publish it again to bring it back.",
        )
    before, release.status = release.status, Release.Status.WITHDRAWN
    release.save(update_fields=["status"])
    record(Verb.RELEASE_WITHDRAWN, release, actor=actor, before=before)
    return release


def _require_manager(actor: Account | None) -> None:
    if actor is not None and not roles.is_manager(actor):
        raise Refusal(
            Code.NOT_ALLOWED,
            "Only managers publish and withdraw releases.",
            "Ask a manager of this site.",
        )


def _release(repo_id: str) -> Release:
    release = Release.objects.filter(repo_id=repo_id).first()
    if release is None:
        known = (
            ", ".join(Release.objects.order_by("repo_id").values_list("repo_id", flat=True))
            or "none yet"
        )
        raise PublishError(
            f"There is no release {repo_id!r}. The catalogue has: {known}. "
            "Give one of these, or add the release in the admin first."
        )
    return release


def _store(folder: Path, entries: list[Entry], store: Store, progress: Progress | None) -> None:
    files = {
        Artifact(sha256=entry.sha256).store_key: entry for entry in entries
    }  # two equal files are one
    missing = [entry.size for key, entry in files.items() if store.size(key) is None]
    store.check_room(sum(missing))
    counter = Counter("storing", sum(entry.size for entry in files.values()), progress)
    for key, entry in files.items():
        try:
            store.put(key, folder / entry.path, sha256=entry.sha256, advance=counter.add)
        except OSError as error:
            raise StoreError(
                f"{entry.path} cannot be read: {error.strerror}. Mend that, then publish again."
            ) from error


@transaction.atomic
def _record(
    release_id: int, layout: str, entries: list[Entry], tag: str, *, actor: Account | None
) -> Published:
    release = Release.objects.select_for_update().get(pk=release_id)
    revision = _kept(release, layout, entries, actor)
    if tag:
        tagging.give(tag, release, revision, actor)
    if revision.is_current and release.is_published:
        return Published(revision, changed=False)
    before, release.status = release.status, Release.Status.PUBLISHED
    release.save(update_fields=["status"])
    Revision.objects.filter(release=release, is_current=True).update(is_current=False)
    revision.is_current = True
    revision.save(update_fields=["is_current"])
    record(
        Verb.RELEASE_PUBLISHED,
        release,
        actor=actor,
        digest=revision.digest,
        files=len(entries),
        bytes=sum(entry.size for entry in entries),
        before=before,
    )
    return Published(revision, changed=True)


def _kept(release: Release, layout: str, entries: list[Entry], actor: Account | None) -> Revision:
    """The row of these files, made if there is none; one made before chunks were kept gets them."""
    revision, created = Revision.objects.get_or_create(
        release=release,
        digest=manifest.digest(entries),
        defaults={"layout": layout, "published_by": actor},
    )
    if created:
        Artifact.objects.bulk_create(Artifact.of(revision, entry) for entry in entries)
        return revision
    for artifact in revision.artifacts.filter(chunk_digests=b"", size__gt=0):
        entry = next(entry for entry in entries if entry.path == artifact.path)
        artifact.chunk_digests = Artifact.of(revision, entry).chunk_digests
        artifact.save(update_fields=["chunk_digests"])
    return revision
