"""The manifest of a revision: which files, how long, with which SHA-256, as a whole and in chunks.

Two texts are made of it, and both are canonical JSON. The list of (path, size, sha256) alone names
the revision: it depends on the content and on nothing else. The document is what is served and
signed; beside the list it says the release, the revision, and the hash of each chunk.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distribution.hashing import CHUNK_SIZE, Digest

FORMAT = "weighbridge-manifest/1"


@dataclass(frozen=True, order=True)
class Entry:
    """One file: path inside the folder with `/`, size in bytes, SHA-256 in 64 hex digits, as a
    whole and of each chunk.
    """

    path: str
    size: int
    sha256: str
    chunks: tuple[str, ...] = ()


def entries(digests: Mapping[str, Digest]) -> list[Entry]:
    """Path → Digest as the rows of a manifest."""
    return sorted(
        Entry(path, found.size, found.sha256, found.chunks) for path, found in digests.items()
    )


def canonical(entries: Iterable[Entry]) -> bytes:
    """The one JSON text of these files, whatever the order they come in."""
    return _json(
        [
            {"path": entry.path, "sha256": entry.sha256, "size": entry.size}
            for entry in sorted(entries)
        ]
    )


def digest(entries: Iterable[Entry]) -> str:
    """40 hex digits, as a git commit has: hub clients accept only that form as an immutable
    revision.
    """
    return hashlib.sha256(canonical(entries)).hexdigest()[:40]


def document(repo_id: str, revision: str, entries: Iterable[Entry]) -> bytes:
    """The manifest as it is served and signed, byte for byte the same each time."""
    files = [
        {
            "path": entry.path,
            "size": entry.size,
            "sha256": entry.sha256,
            "chunks": list(entry.chunks),
        }
        for entry in sorted(entries)
    ]
    return _json(
        {
            "format": FORMAT,
            "repo_id": repo_id,
            "revision": revision,
            "chunk_size": CHUNK_SIZE,
            "files": files,
        }
    )


def sums(entries: Iterable[Entry]) -> str:
    """The lines that `sha256sum -c` reads."""
    return "".join(f"{entry.sha256}  {entry.path}\n" for entry in sorted(entries))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
