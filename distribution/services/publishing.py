"""From a folder to a published revision."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from distribution import checkpoints, converting, folders, manifest, sandbox_notes, selectors
from distribution.checkpoints import Facts, checklist
from distribution.converting import SHARD_SIZE
from distribution.errors import PublishError
from distribution.hashing import Progress
from distribution.journal import Journal
from distribution.manifest import Entry
from distribution.models import Artifact, Revision
from distribution.sandbox_notes import Notes
from distribution.services import bringing, tagging
from distribution.services.withdrawing import require_manager
from distribution.stores import get_store
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.mail.services import send
from portal.refusals import Code, Refusal


@dataclass(frozen=True)
class Published:
    """changed is False where this very revision was the current one already. corrected: the facts of
    the release that were not those of the weights, and are now.
    """

    revision: Revision
    changed: bool
    corrected: tuple[str, ...] = ()


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
    also: str = "",
    shard_size: int = SHARD_SIZE,
    note: str = "",
    with_code: bool = False,
    correct_facts: bool = False,
    progress: Progress | None = None,
) -> Published:
    """Check the folder, hash and store it, and only then, in one transaction, publish it.

    Run again it changes nothing; interrupted and run again it goes on, as files in the store are
    not written twice. actor: None for the operator at the command line. tag: a name for the
    revision. also: the other layout, to be made and published with it, its safetensors files of at
    most `shard_size` bytes. note: told to whoever downloaded the revision that this one replaces.
    with_code: Python source may be among the files. correct_facts: numbers of the weights that
    contradict the catalogue go into the catalogue; otherwise they stop the publication, unless
    this revision was published before.
    Raises PublishError, StoreError, and the Refusals NOT_ALLOWED for a
    person who is no manager and INVALID or CONFLICT for a tag that cannot be given.
    """
    require_manager(actor)
    release = _release(repo_id)
    if tag:
        tagging.check_name(tag)
    paths = folders.walk(folder)
    # The marks before the checks: what changes after its check is not published.
    items = bringing.of_folder(folder, paths, _published_before(release))
    ranks = release.model_parallel
    layout = checkpoints.validate(
        folder, paths, model_parallel=None if correct_facts else ranks, with_code=with_code
    )
    facts = checkpoints.facts_of(folder, paths)
    notes = sandbox_notes.notes_of(folder)
    if also:
        made = converting.convert(folder, paths, to=also, ranks=ranks, shard_size=shard_size)
        recipe = f"{converting.VERSION}:{also}:{ranks}:{shard_size}"
        items += bringing.of_made(made, items, recipe)
        layout = Revision.Layout.ORIGINAL
    if not correct_facts and not _looks_published(release, items):
        _check_announced(release, facts)  # before hours of copying
    journal = _journal(folder, release)
    stored = {item.path for item in items if journal.known(item.mark)}
    checklist.check(folder, known=stored, progress=progress)
    scratch = settings.HOME / "publishing"
    digests = bringing.bring(items, get_store(), journal, scratch, progress)
    published = _record(
        release.pk,
        layout,
        manifest.entries(digests),
        facts=facts,
        notes=notes,
        correct_facts=correct_facts,
        tag=tag,
        note=note,
        actor=actor,
    )
    journal.forget()
    return published


def _release(repo_id: str) -> Release:
    release = Release.objects.filter(repo_id__iexact=repo_id).first()
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


def _journal(folder: Path, release: Release) -> Journal:
    """The notes of this publication, on this machine."""
    name = hashlib.sha256(f"{release.repo_id}:{folder.resolve()}".encode()).hexdigest()[:16]
    return Journal(settings.HOME / "publishing" / f"{name}.jsonl")


def _published_before(release: Release) -> set[tuple[str, int]]:
    artifacts = Artifact.objects.filter(revision__release=release)
    return set(artifacts.values_list("path", "size"))


def _looks_published(release: Release, items: list[bringing.Item]) -> bool:
    """Whether a revision has files of these paths and sizes; their hashes are not known yet."""
    wanted = sorted((item.path, item.size) for item in items)
    return any(
        sorted(revision.artifacts.values_list("path", "size")) == wanted
        for revision in Revision.objects.filter(release=release)
    )


def _check_announced(release: Release, facts: Facts) -> None:
    """Raise PublishError where the weights are not the model that the catalogue announces."""
    told = [
        f"{name.replace('_', ' ')} {announced:,} there, {number:,} in the weights"
        for name, number in facts.items()
        if (announced := getattr(release, name)) is not None and announced != number
    ]
    if told:
        raise PublishError(
            f"The folder is not what the catalogue announces for {release.repo_id}: "
            f"{'; '.join(told)}. Nothing was published. Give the right folder, correct the release "
            "in the admin, or publish with --correct-facts, which puts the numbers of the weights "
            "into the catalogue."
        )


@transaction.atomic
def make_current(revision_id: int, *, actor: Account | None, note: str = "") -> Published:
    """A revision that was published before is what people get from now on. Who downloaded the one
    before is told, with the note. Raises the Refusal WRONG_STATE for one that was taken down.
    """
    require_manager(actor)
    found = Revision.objects.get(pk=revision_id)
    release = Release.objects.select_for_update().get(pk=found.release_id)
    return _put_in_place(release, Revision.objects.get(pk=revision_id), note, actor)


@transaction.atomic
def _record(
    release_id: int,
    layout: str,
    entries: list[Entry],
    *,
    facts: Facts | None = None,
    notes: Notes | None = None,
    correct_facts: bool = False,
    tag: str = "",
    note: str = "",
    actor: Account | None,
) -> Published:
    release = Release.objects.select_for_update().get(pk=release_id)
    revision, is_new = _kept(release, layout, entries, facts or {}, notes or {}, actor)
    if is_new and not correct_facts:
        _check_announced(release, revision.facts)
    if tag:
        tagging.give(tag, release, revision, actor)
    return _put_in_place(release, revision, note, actor)


def _put_in_place(
    release: Release, revision: Revision, note: str, actor: Account | None
) -> Published:
    """The caller holds the release's row."""
    if revision.taken_down_at is not None:
        raise Refusal(
            Code.WRONG_STATE,
            f"{revision} was taken down: {revision.taken_down_reason}",
            "Restore it first, if it shall be had again.",
        )
    facts = _correct_facts(release, revision)
    corrected = tuple(sorted(name for name, was in facts["before"].items() if was is not None))
    if revision.is_current and release.is_published:
        if facts["after"]:
            record(
                Verb.RELEASE_CHANGED, release, actor=actor, fields=sorted(facts["after"]), **facts
            )
        return Published(revision, changed=False, corrected=corrected)
    before, release.status = release.status, Release.Status.PUBLISHED
    release.save(update_fields=["status"])
    old = Revision.objects.filter(release=release, is_current=True).exclude(pk=revision.pk).first()
    Revision.objects.filter(release=release, is_current=True).update(is_current=False)
    revision.is_current = True
    revision.save(update_fields=["is_current"])
    entries = [artifact.entry for artifact in revision.artifacts.all()]
    record(
        Verb.RELEASE_PUBLISHED,
        release,
        actor=actor,
        digest=revision.digest,
        files=len(entries),
        bytes=sum(entry.size for entry in entries),
        before=before,
        **({"facts": facts} if facts["after"] else {}),
    )
    if old is not None:
        _tell_holders(release, old, revision, note)
    return Published(revision, changed=True, corrected=corrected)


def _correct_facts(release: Release, revision: Revision) -> dict[str, dict[str, Any]]:
    """The release says of its weights what they say of themselves. Returns what was different,
    before and after.
    """
    before = {
        name: announced
        for name, number in revision.facts.items()
        if (announced := getattr(release, name)) != number
    }
    for name in before:
        setattr(release, name, revision.facts[name])
    if before:
        release.save(update_fields=list(before))
    return {"before": before, "after": {name: revision.facts[name] for name in before}}


def _tell_holders(release: Release, old: Revision, new: Revision, note: str) -> None:
    told: dict[str, Any] = {
        "release": release,
        "old": old,
        "new": new,
        "since": timezone.now(),
        "note": note.strip(),
        "changes": list(_changes(old, new)),
    }
    for holder in selectors.holders_of(old):
        send("revision_replaced", to=holder, **told)


def _changes(old: Revision, new: Revision) -> Iterator[str]:
    """Each file that differs, in words."""
    before, after = (
        {artifact.path: artifact.sha256 for artifact in revision.artifacts.all()}
        for revision in (old, new)
    )
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            yield f"{path} is new"
        elif path not in after:
            yield f"{path} is gone"
        elif before[path] != after[path]:
            yield f"{path} has changed"


def _kept(
    release: Release,
    layout: str,
    entries: list[Entry],
    facts: Facts,
    notes: Notes,
    actor: Account | None,
) -> tuple[Revision, bool]:
    """The row of these files, and whether it was made now; one of an older version of the site gets
    the chunks and facts that it lacks, and what is said of the sandbox now.
    """
    revision, created = Revision.objects.get_or_create(
        release=release,
        digest=manifest.digest(entries),
        defaults={
            "layout": layout,
            "published_by": actor,
            "facts": facts,
            "sandbox_notes": notes,
        },
    )
    if created:
        Artifact.objects.bulk_create(Artifact.of(revision, entry) for entry in entries)
        return revision, True
    if facts and revision.facts != facts:
        revision.facts = facts
        revision.save(update_fields=["facts"])
    if revision.sandbox_notes != notes:  # a newer engine may run what an older one did not
        revision.sandbox_notes = notes
        revision.save(update_fields=["sandbox_notes"])
    for artifact in revision.artifacts.filter(chunk_digests=b"", size__gt=0):
        entry = next(entry for entry in entries if entry.path == artifact.path)
        artifact.chunk_digests = Artifact.of(revision, entry).chunk_digests
        artifact.save(update_fields=["chunk_digests"])
    return revision, False
