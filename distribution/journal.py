"""What an interrupted publication knows already: the Digest of each file that is in the store.

A line is written once the file is in the store, and forgotten when the publication is done.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from distribution.hashing import Digest


def mark_of(path: Path) -> str:
    """A name for a file as it is now; it is another once the file was written to or replaced."""
    found = path.stat()
    parts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


class Journal:
    """Marks of files, and their Digests. Several threads and processes may write at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = dict(_read(path))

    def known(self, mark: str) -> Digest | None:
        return self._known.get(mark)

    def add(self, mark: str, digest: Digest) -> None:
        line = json.dumps({"mark": mark, **asdict(digest)}) + "\n"
        with self._lock:
            self._known[mark] = digest
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # One write, to the end: two processes never mix their lines.
            with self._path.open("ab", buffering=0) as file:
                file.write(line.encode())
                os.fsync(file.fileno())

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def _read(path: Path) -> Iterator[tuple[str, Digest]]:
    """The whole lines. What was being written when a process died is no JSON, and is passed over."""
    if not path.is_file():
        return
    for line in path.read_bytes().splitlines():
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            yield told["mark"], Digest(told["size"], told["sha256"], tuple(told["chunks"]))
