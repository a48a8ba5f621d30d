"""From a folder into the store: several files at once, each in one reading, and on from where it was."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from distribution.converting import Made
from distribution.errors import StoreError, StoreFullError
from distribution.hashing import Advance, Counter, Digest, Progress, hash_file
from distribution.journal import Journal, mark_of
from distribution.stores import Store
from distribution.stores.base import key_of

MOST_AT_ONCE = 8  # files; more would wait for the disk, and each takes some memory


@dataclass(frozen=True)
class Item:
    """A file to bring in: one of the folder, or one that is made on the way.

    mark: another one as soon as its bytes may be others. stored_alike: a file of this path and size
    was published before, so its bytes are probably there.
    """

    path: str
    size: int
    mark: str
    source: Path | None
    write: Callable[[Path], None] | None = None
    stored_alike: bool = False


def of_folder(folder: Path, paths: Iterable[str], published: set[tuple[str, int]]) -> list[Item]:
    """published: (path, size) of files that the release had before."""
    found = []
    for path in paths:
        size = (folder / path).stat().st_size
        alike = (path, size) in published
        found.append(Item(path, size, mark_of(folder / path), folder / path, stored_alike=alike))
    return found


def of_made(made: Iterable[Made], sources: list[Item], recipe: str) -> list[Item]:
    """What is made has the marks of what it is made from. recipe: how it is made."""
    basis = "".join(item.mark for item in sources) + recipe

    def mark(path: str) -> str:
        return hashlib.sha256(f"{basis}:{path}".encode()).hexdigest()[:40]

    return [Item(file.path, file.size, mark(file.path), None, file.write) for file in made]


def bring(
    items: list[Item], store: Store, journal: Journal, scratch: Path, progress: Progress | None
) -> dict[str, Digest]:
    """Path → Digest, once all files are in the store. Raises StoreError.

    scratch: a folder for what is made, one file after the other. Where one file fails, the others
    stop; what is in the store by then is in the journal.
    """
    store.check_room(sum(_needed(item, store, journal) for item in items))
    total = sum(item.size for item in items)
    stopped = threading.Event()
    work = _Work(
        store,
        journal,
        scratch,
        _stopping(Counter("storing", total, progress).add, stopped),
        _stopping(Counter("hashing", total, progress).add, stopped),
    )
    try:
        return _all(items, work, stopped)
    except StoreFullError:
        for item in items:  # the room that drafts take is needed more by whoever mends this
            store.forget(item.mark)
        raise


def _all(
    items: list[Item], work: Callable[[Item], Digest], stopped: threading.Event
) -> dict[str, Digest]:
    """Path → Digest. Where one fails, the others stop at their next block."""

    def run(item: Item) -> Digest:
        try:
            if stopped.is_set():
                raise _Stopped
            return work(item)
        except BaseException:
            stopped.set()
            raise

    # The largest first, so that no thread is left alone with it at the end.
    inorder = sorted(items, key=lambda item: item.size, reverse=True)
    with ThreadPoolExecutor(min(MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
        futures = {item.path: pool.submit(run, item) for item in inorder}
        try:
            wait(futures.values())
        except BaseException:  # Ctrl-C
            stopped.set()
            raise
    errors = [error for future in futures.values() if (error := future.exception())]
    for error in errors:
        if not isinstance(error, _Stopped):  # which is but another's echo
            raise error
    return {path: future.result() for path, future in futures.items()}


class _Stopped(Exception):
    """Another file failed, or somebody pressed Ctrl-C."""


def _stopping(advance: Advance, stopped: threading.Event) -> Advance:
    def told(count: int) -> None:
        if stopped.is_set():
            raise _Stopped
        advance(count)

    return told


def _needed(item: Item, store: Store, journal: Journal) -> int:
    """Bytes of room that the store needs for it, at the most."""
    known = journal.known(item.mark)
    if item.stored_alike or (known and store.size(key_of(known.sha256)) is not None):
        return 0
    return max(0, item.size - store.pending(item.mark))


@dataclass(frozen=True)
class _Work:
    """What each thread does with a file."""

    store: Store
    journal: Journal
    scratch: Path
    stored: Advance
    hashed: Advance

    def __call__(self, item: Item) -> Digest:
        known = self.journal.known(item.mark)
        if known and self.store.size(key_of(known.sha256)) == known.size:
            self.stored(item.size)
            return known
        try:
            found = self._made(item) if item.source is None else self._bring(item, item.source)
        except OSError as error:
            raise StoreError(
                f"{item.path} cannot be read: {error.strerror}. Mend that, then publish again."
            ) from error
        self.journal.add(item.mark, found)
        return found

    def _bring(self, item: Item, source: Path) -> Digest:
        known = hash_file(source, self.hashed) if item.stored_alike else None
        found = self.store.bring(
            source, mark=item.mark, known=known, advance=self.stored, hashed=self.hashed
        )
        if item.source is not None and mark_of(source) != item.mark:
            raise StoreError(
                f"{item.path} was changed or was damaged while it was read; it is not published. "
                f"Publish again."
            )
        return found

    def _made(self, item: Item) -> Digest:
        assert item.write is not None, "an item has a source or is made"
        self.scratch.mkdir(parents=True, exist_ok=True)
        draft = self.scratch / item.mark
        try:
            item.write(draft)
            return self._bring(item, draft)
        finally:
            draft.unlink(missing_ok=True)
