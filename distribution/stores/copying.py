"""Writing a file of this machine so that it is whole and right, or not there."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from distribution.errors import StoreError, StoreFullError
from distribution.hashing import Advance
from distribution.sizes import exact, human

CHUNK = 4 * 1024 * 1024  # bytes
PART = ".part"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_checked(
    source: BinaryIO,
    target: Path,
    *,
    sha256: str,
    size: int | None = None,
    advance: Advance | None = None,
) -> None:
    """Copy `source` to `target` by way of a `.part` file, renamed if the SHA-256 is right.

    Two processes may write the same target: one waits for the other, and finds it there. What a
    killed process left behind is overwritten. size: expected bytes, told when the disk is full.
    """
    part = target.with_name(target.name + PART)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _held(part, target) as out:
            if out is None:
                return
            try:
                _copy(source, out, target.name, sha256, advance)
                os.replace(part, target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        target.chmod(0o444)  # content under a hash is never written again
        sync_folder(target.parent)
    except OSError as error:
        raise explained(error, target, size, target.parent) from error


@contextmanager
def _held(part: Path, target: Path) -> Iterator[BinaryIO | None]:
    """The empty `.part` file, held by us alone; None if the target is there already.

    The lock is the kernel's, which lets go of it when a process is killed.
    """
    while True:
        with part.open("ab") as file:  # not "wb": until it is locked it may be another's
            fcntl.flock(file, fcntl.LOCK_EX)
            ours = is_at(file, part)  # no: its owner finished or gave up while we waited
            if target.exists():
                if ours:
                    part.unlink()
                yield None
                return
            if ours:
                file.truncate(0)
                yield file
                return


def sweep(root: Path) -> None:
    """Remove the `.part` files that killed processes left below `root`; those in use are locked,
    and stay.
    """
    for part in root.rglob(f"*{PART}"):
        with suppress(OSError), part.open("ab") as file:  # gone, in use, or not ours to remove
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _copy(source: BinaryIO, out: BinaryIO, name: str, sha256: str, advance: Advance | None) -> None:
    sha = hashlib.sha256()
    while chunk := source.read(CHUNK):
        sha.update(chunk)
        out.write(chunk)
        if advance:
            advance(len(chunk))
    out.flush()
    if sha.hexdigest() != sha256:
        raise StoreError(
            f"{name}: the bytes have SHA-256 {sha.hexdigest()}, expected {sha256}. "
            "The file changed or was damaged on the way; nothing was kept. Try again."
        )
    os.fsync(out.fileno())


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def explained(error: OSError, file: Path, size: int | None, folder: Path) -> StoreError:
    """What went wrong with a file on its way into the folder."""
    if error.errno not in NO_ROOM:
        return StoreError(
            f"{file.name} was not written: {error.strerror or error}. Nothing half-written was kept."
        )
    return full(folder, size or 0, reason=error.strerror or "")


def full(folder: Path, needed: int, *, reason: str = "") -> StoreFullError:
    while not folder.exists():  # there was not even room for the folder
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    because = f" ({reason})" if reason else ""
    return StoreFullError(
        f"The store has no room{because}: {human(needed)} needed ({exact(needed)}), {human(free)} "
        f"free "
        f"({exact(free)}) in {folder}. Free some space there, then do the same again; nothing "
        f"half-written was kept."
    )
