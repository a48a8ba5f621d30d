"""The manifest of a revision: which files, how long, with which SHA-256. Its own digest names
the revision.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

CHUNK = 4 * 1024 * 1024  # bytes read at once

# Called with (stage, bytes done, bytes in all); stage is "hashing" or "storing".
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, order=True)
class Entry:
    """One file: path inside the folder with `/`, size in bytes, SHA-256 in 64 hex digits."""

    path: str
    size: int
    sha256: str


def canonical(entries: Iterable[Entry]) -> bytes:
    """The one JSON text of these files, whatever the order they come in."""
    rows = [asdict(entry) for entry in sorted(entries)]
    return json.dumps(rows, sort_keys=True, separators=(",", ":")).encode()


def digest(entries: Iterable[Entry]) -> str:
    """40 hex digits, as a git commit has: hub clients accept only that form as an immutable
    revision.
    """
    return hashlib.sha256(canonical(entries)).hexdigest()[:40]


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


def hash_files(folder: Path, paths: list[str], *, progress: Progress | None = None) -> list[Entry]:
    """An entry for each path, hashed in as many threads as there are cores (hashlib lets go of
    the GIL).
    """
    counter = Counter("hashing", sum((folder / path).stat().st_size for path in paths), progress)

    def entry(path: str) -> Entry:
        size, sha256 = hash_file(folder / path, counter.add)
        return Entry(path, size, sha256)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sorted(pool.map(entry, paths))


def hash_file(path: Path, advance: Callable[[int], None] | None = None) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, in bounded memory."""
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha.update(chunk)
            size += len(chunk)
            if advance:
                advance(len(chunk))
    return size, sha.hexdigest()
