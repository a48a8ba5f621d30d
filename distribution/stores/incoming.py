"""Bringing a file into a directory in one reading: copied and hashed at once, named by its hash.

Until its hash is known the copy is a draft under a mark of its own. A killed process leaves the
draft behind, and the next one only writes what it does not hold.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from distribution.hashing import BLOCK, Advance, Digest, Hasher
from distribution.stores.copying import explained, is_at, sync_folder

INCOMING = "incoming"  # the folder of drafts, in the store, so that a rename brings them in
KEPT_FOR = 14 * 24 * 3600  # seconds that an interrupted publication may wait to go on


def take_in(
    source: Path, draft: Path, named: Callable[[str], Path], *, advance: Advance | None = None
) -> Digest:
    """Copy `source` by way of `draft` to where `named` puts its SHA-256. Raises StoreError.

    An error of the disk removes the draft, so that its room is free; an interruption keeps it.
    """
    size = source.stat().st_size
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        with _own(draft) as out:
            try:
                with source.open("rb", buffering=0) as file:
                    found = _copy(file, out, advance)
                _settle(draft, named(found.sha256))
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        return found
    except OSError as error:
        raise explained(error, source, size, draft.parent) from error


def _own(draft: Path) -> BinaryIO:
    """The draft, held by us alone: who brings the same file at the same time waits.

    The lock is the kernel's, which lets go of it when a process is killed.
    """
    while True:
        draft.touch()
        with suppress(FileNotFoundError):  # its owner has just finished
            file = draft.open("r+b", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file, draft):
                return file
            file.close()


def _copy(source: BinaryIO, out: BinaryIO, advance: Advance | None) -> Digest:
    hasher, buffer, had = Hasher(), memoryview(bytearray(BLOCK)), memoryview(bytearray(BLOCK))
    position, same = 0, True
    while count := source.readinto(buffer):  # type: ignore[attr-defined]
        block = buffer[:count]
        hasher.update(block)
        # Compared and not believed: after a loss of power a draft may hold anything.
        same = same and out.readinto(had[:count]) == count and had[:count] == block  # type: ignore[attr-defined]
        if not same:
            _write(out, block, position)
        position += count
        if advance:
            advance(count)
    out.truncate(position)
    os.fsync(out.fileno())
    return hasher.digest()


def _write(out: BinaryIO, block: "memoryview[int]", position: int) -> None:
    while block:
        written = os.pwrite(out.fileno(), block, position)
        block, position = block[written:], position + written


def _settle(draft: Path, target: Path) -> None:
    if target.exists():  # these bytes were there under another name, or came in meanwhile
        draft.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft, target)
    target.chmod(0o444)  # content under a hash is never written again
    sync_folder(target.parent)


def sweep_old(folder: Path) -> None:
    """Remove drafts that nobody went on with; those in use are locked, and stay."""
    if not folder.is_dir():
        return
    for draft in folder.iterdir():
        with suppress(OSError), draft.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_mtime < time.time() - KEPT_FOR:
                draft.unlink()
