"""The files of a revision as the hub lists them, with the hashes that git would give them.

Every published file is a large file to a client (LFS), whose hash is its SHA-256; the card alone is an ordinary one.
The clients' `verify` compares these with what lies on the disk.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from distribution.hub import card
from distribution.models import Artifact, Revision
from portal.catalog.models import Release

# What git keeps as a pointer in most repos of the Hub: files of these kinds, and all above this size.
LARGE = 10 * 1024 * 1024
LARGE_KINDS = (
    *(
        ".safetensors",
        ".pth",
        ".pt",
        ".bin",
        ".gguf",
        ".ggml",
        ".ckpt",
        ".h5",
        ".onnx",
        ".msgpack",
        ".model",
    ),
    *(
        ".npy",
        ".npz",
        ".parquet",
        ".arrow",
        ".pickle",
        ".pkl",
        ".zip",
        ".tar",
        ".gz",
        ".tgz",
        ".xz",
        ".zst",
    ),
)


@dataclass(frozen=True)
class File:
    """One file at its path. text: where the site writes it by itself; otherwise sha256 names it."""

    path: str
    size: int
    sha256: str = ""
    text: bytes = b""

    @classmethod
    def of(cls, artifact: Artifact) -> "File":
        return cls(artifact.path, artifact.size, artifact.sha256)

    @classmethod
    def card(cls, release: Release, revision: Revision) -> "File":
        text = card.readme(release, revision)
        return cls(card.NAME, len(text), text=text)

    @property
    def pointer(self) -> bytes:
        """What git would hold in the place of a large file."""
        lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}")
        return "\n".join([*lines, f"size {self.size}", ""]).encode()

    def as_pointer(self) -> "File":
        """The pointer as a file in the place of this one."""
        return File(self.path, len(self.pointer), text=self.pointer)

    @property
    def is_large(self) -> bool:
        return self.size > LARGE or self.path.endswith(LARGE_KINDS)

    @property
    def oid(self) -> str:
        """git's hash of it."""
        return _git_hash("blob", self.pointer if self.sha256 else self.text)

    @property
    def etag(self) -> str:
        """Under which a client keeps it: the SHA-256, or git's hash of an ordinary file."""
        return self.sha256 or self.oid

    @property
    def pointed(self) -> int:
        return len(self.pointer)


def files_of(release: Release, revision: Revision) -> list[File]:
    """All files by path; the model card among them, unless the publisher put a README.md there."""
    found = [File.of(artifact) for artifact in revision.artifacts.all()]
    if not any(file.path == card.NAME for file in found):
        found.append(File.card(release, revision))
    return sorted(found, key=lambda file: file.path)


def sibling(file: File, *, blobs: bool) -> dict[str, Any]:
    """A row of `siblings`; with its hashes and size if they were asked for."""
    row: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        row |= {"size": file.size, "blobId": file.oid}
        if file.sha256:
            row["lfs"] = {
                "sha256": file.sha256,
                "size": file.size,
                "pointerSize": file.pointed,
            }
    return row


def entry(file: File) -> dict[str, Any]:
    """A file's row of a tree."""
    row: dict[str, Any] = {"type": "file", "path": file.path, "size": file.size, "oid": file.oid}
    if file.sha256:
        row["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointed}
    return row


def rows_at(files: list[File], paths: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of the files and folders at these paths, in their order; without those that are not there."""
    by_path, oids = {file.path: file for file in files}, folder_oids(files)
    rows = []
    for path in paths:
        if path in by_path:
            rows.append(entry(by_path[path]))
        elif path in oids:
            rows.append(directory(path, oids[path]))
    return rows


def listing(files: list[File], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """What is in a folder ("": the root), or below it at any depth. [] where there is no such folder."""
    before = f"{folder}/" if folder else ""
    below = [file for file in files if file.path.startswith(before)]
    oids = folder_oids(below)
    rows = [directory(path, oids[path]) for path in sorted(folders(below, before))]
    rows += [entry(file) for file in below]
    return rows if recursive else [row for row in rows if "/" not in row["path"][len(before) :]]


def directory(path: str, oid: str) -> dict[str, Any]:
    """A folder's row of a tree."""
    return {"type": "directory", "path": path, "size": 0, "oid": oid}


def folders(files: Iterable[File], before: str = "") -> set[str]:
    """The paths of all folders whose path begins so."""
    found = set()
    for file in files:
        path = file.path
        while (path := path.rpartition("/")[0]) and path.startswith(before):
            found.add(path)
    return found


def folder_oids(files: list[File]) -> dict[str, str]:
    """git's hash of each folder, all in one pass: the deepest first, for a folder holds its folders' hashes."""
    entries: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for file in files:
        folder, _, name = file.path.rpartition("/")
        entries[folder].append((name, b"100644 %b\0" % name.encode() + bytes.fromhex(file.oid)))
    oids: dict[str, str] = {}
    for path in sorted(folders(files), key=lambda path: path.count("/"), reverse=True):
        oids[path] = _git_hash("tree", b"".join(line for _, line in sorted(entries[path])))
        parent, _, name = path.rpartition("/")
        line = b"40000 %b\0" % name.encode() + bytes.fromhex(oids[path])
        entries[parent].append((f"{name}/", line))  # git sorts a folder as if it ended in a slash
    return oids


def _git_hash(kind: str, content: bytes) -> str:
    # git's own name for content, not a protection: that is the SHA-256 beside it.
    return hashlib.sha1(
        f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False
    ).hexdigest()
