"""Bringing a revision's files to a folder of this machine, for a program that must open them."""

import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from distribution.errors import StoreError
from distribution.hashing import hash_file
from distribution.models import Artifact, Revision
from distribution.stores import Store, get_store

log = logging.getLogger(__name__)
DAY = 24 * 3600
DIGEST = re.compile(r"\.?([0-9a-f]{40})(?:\.part)?")  # whole, or on its way
SAFETENSORS = re.compile(r"model.*\.safetensors(\.index\.json)?")


def materialise(revision: Revision, folder: Path) -> Path:
    """The folder `folder/<digest>` with the files of the revision, each of the published SHA-256.

    Of two layouts in one revision only the original one is brought: the weights are the same. It
    appears at once and whole. Two processes at once make it once; a process killed in the
    middle leaves the files it had finished to the next. Raises StoreError.
    """
    target = folder / revision.digest
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f".{revision.digest}.lock"):
        if not target.is_dir():
            work = folder / f".{revision.digest}.part"
            for artifact in _needed(revision):
                _bring(get_store(), artifact, work / artifact.path)
            os.replace(work, target)
    return target


@contextmanager
def in_use(revision: Revision, folder: Path) -> Iterator[None]:
    """While this is open, in whatever process, `prune` leaves the revision's files alone."""
    with _use(folder, revision.digest) as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # the kernel's: it ends when we are killed
        os.utime(file.fileno())  # when it was used last
        yield
        os.utime(file.fileno())


def prune(folder: Path, *, days: int) -> list[str]:
    """Remove the revisions that nothing has used for `days` days, also those that were never
    brought to their end. 0: none. Returns their digests.
    """
    if not days or not folder.is_dir():
        return []
    here = {match[1] for path in folder.iterdir() if (match := DIGEST.fullmatch(path.name))}
    before = time.time() - days * DAY
    return [digest for digest in sorted(here) if _remove_unused(folder, digest, before)]


def _remove_unused(folder: Path, digest: str, before: float) -> bool:
    """Whether the revision was last used before that moment, by nothing now, and is gone."""
    with _use(folder, digest) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if os.fstat(file.fileno()).st_mtime > before:
            return False
        for name in (digest, f".{digest}.part"):
            shutil.rmtree(folder / name, ignore_errors=True)
    log.info("removed the weights of %s from %s: nothing used them", digest[:12], folder)
    return True


def _use(folder: Path, digest: str) -> BinaryIO:
    """The file that users of a revision lock; its time is when it was used last."""
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f".{digest}.use").open("ab")


def _needed(revision: Revision) -> list[Artifact]:
    artifacts = list(revision.artifacts.all())
    if revision.layout != Revision.Layout.ORIGINAL:
        return artifacts
    return [artifact for artifact in artifacts if not SAFETENSORS.fullmatch(artifact.path)]


def _bring(store: Store, artifact: Artifact, target: Path) -> None:
    if target.exists():
        return  # a file only gets its name once it was checked
    target.parent.mkdir(parents=True, exist_ok=True)
    source = store.local_path(artifact.store_key)
    if source is None:
        store.fetch(artifact.store_key, target, sha256=artifact.sha256)
        return
    _check(source, artifact)
    try:
        os.link(source, target)  # no second copy of 130 GB
    except OSError:  # another file system, or one without hard links
        target.symlink_to(source)


def _check(source: Path, artifact: Artifact) -> None:
    try:
        found = hash_file(source).sha256
    except OSError as error:
        raise StoreError(
            f"{artifact.path} cannot be read from the store: {error.strerror}."
        ) from error
    if found != artifact.sha256:
        raise StoreError(
            f"{artifact.path} in the store has SHA-256 {found}, published was {artifact.sha256}. "
            f"Remove {source} and publish the release again from its source."
        )


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go by the kernel, also when we are killed
        yield
