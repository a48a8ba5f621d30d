"""What every store can do. Keys are made from the SHA-256 of the bytes, so a key never changes
its content.
"""

from pathlib import Path
from typing import BinaryIO, Protocol

from distribution.hashing import Advance, Digest


def key_of(sha256: str) -> str:
    """Where the bytes of this SHA-256 lie."""
    return f"sha256/{sha256[:2]}/{sha256}"


class Store(Protocol):
    """Each method raises distribution.errors.StoreError, and no exception of the library
    beneath.
    """

    @property
    def binds_range(self) -> bool:
        """Whether an address of `presigned_url` that was asked for with a range gives that range alone."""

    def check_room(self, needed: int) -> None:
        """Raise StoreFullError if it is known that `needed` bytes do not fit."""

    def pending(self, mark: str) -> int:
        """Bytes that an interrupted `bring` of this mark left here, and that the next one uses."""

    def forget(self, mark: str) -> None:
        """Remove what an interrupted `bring` of this mark left here."""

    def bring(
        self,
        path: Path,
        *,
        mark: str,
        known: Digest | None = None,
        advance: Advance | None = None,
        hashed: Advance | None = None,
    ) -> Digest:
        """Keep the file's bytes under the key of their SHA-256, all or nothing, and say their Digest.

        mark: a name for the file as it is now (letters and digits), under which an interrupted one
        goes on. known: the Digest, where it is known; bytes that are there already are then not
        read. advance, hashed: called with the bytes stored, and those only read to be hashed.
        """

    def put(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        chunks: tuple[str, ...] = (),
        advance: Advance | None = None,
    ) -> None:
        """Keep the file's bytes under the key, all or nothing, if their SHA-256 is `sha256`.

        A key that is complete already is left as it is. chunks: their hashes, where they are known.
        """

    def open(self, key: str) -> BinaryIO:
        """The bytes, to read once from the start."""

    def size(self, key: str) -> int | None:
        """Bytes under the key; None if there are none."""

    def fetch(self, key: str, target: Path, *, sha256: str) -> None:
        """Bring the bytes to a file of this machine, all or nothing, if their SHA-256 is
        `sha256`.
        """

    def presigned_url(
        self, key: str, *, filename: str, seconds: int, asked: str = ""
    ) -> str | None:
        """Where a client may GET the bytes for that long; None if we hand them over ourselves.

        asked: the client's Range header. Where the store can, the address then gives that range and no other.
        """

    def local_path(self, key: str) -> Path | None:
        """The file that holds the bytes, if it lies on this machine."""
