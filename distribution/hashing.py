"""SHA-256 of a file and of each of its chunks, in one reading and bounded memory."""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CHUNK_SIZE = 64 * 1024 * 1024  # bytes of a chunk that has a hash of its own; the last is shorter
BLOCK = 4 * 1024 * 1024  # bytes read at once; divides CHUNK_SIZE

# Called with (stage, bytes done, bytes in all); stage is what the command shows, "hashing" say.
Progress = Callable[[str, int, int], None]
Advance = Callable[[int], None]  # called with the number of bytes just moved


@dataclass(frozen=True)
class Digest:
    """What is known of some bytes: how many, their SHA-256, and that of each chunk, in hex.

    A file of at most one chunk has one, an empty file none.
    """

    size: int
    sha256: str
    chunks: tuple[str, ...]


class Hasher:
    """Takes bytes in order, and says their Digest at the end."""

    def __init__(self) -> None:
        self._all, self._size, self._chunks = hashlib.sha256(), 0, list[str]()
        # The first chunk is hashed with the whole: up to its end the two hashes are one.
        self._chunk = self._all

    def update(self, block: "bytes | memoryview[int]") -> None:
        view = memoryview(block)
        while len(view):
            part = view[: CHUNK_SIZE - self._size % CHUNK_SIZE]
            self._all.update(part)
            if self._chunk is not self._all:
                self._chunk.update(part)
            self._size += len(part)
            view = view[len(part) :]
            if self._size % CHUNK_SIZE == 0:
                self._chunks.append(self._chunk.hexdigest())
                self._chunk = hashlib.sha256()

    def digest(self) -> Digest:
        rest = [self._chunk.hexdigest()] if self._size % CHUNK_SIZE else []
        return Digest(self._size, self._all.hexdigest(), (*self._chunks, *rest))


class Counter:
    """Adds up bytes from several threads and reports the sum."""

    def __init__(self, stage: str, total: int, progress: Progress | None) -> None:
        self._stage, self._total, self._progress = stage, total, progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._progress:
                self._progress(self._stage, self._done, self._total)


def hash_file(path: Path, advance: Advance | None = None) -> Digest:
    """The Digest of a file. Raises OSError."""
    hasher, buffer = Hasher(), memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
            if advance:
                advance(count)
    return hasher.digest()


def hash_files(
    folder: Path, paths: list[str], *, progress: Progress | None = None
) -> dict[str, Digest]:
    """The Digest of each path, in as many threads as there are cores (hashlib lets go of the GIL)."""
    counter = Counter("hashing", sum((folder / path).stat().st_size for path in paths), progress)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda path: hash_file(folder / path, counter.add), paths)
        return dict(zip(paths, found, strict=True))
