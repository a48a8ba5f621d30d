"""What every store can do. Keys are made from the SHA-256 of the bytes, so a key never changes
its content.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

Advance = Callable[[int], None]  # called with the number of bytes just moved


class Store(Protocol):
    """Each method raises distribution.errors.StoreError, and no exception of the library
    beneath.
    """

    def check_room(self, needed: int) -> None:
        """Raise StoreFullError if it is known that `needed` bytes do not fit."""

    def put(self, key: str, path: Path, *, sha256: str, advance: Advance | None = None) -> None:
        """Keep the file's bytes under the key, all or nothing, if their SHA-256 is `sha256`.

        A key that is complete already is left as it is, so an interrupted publication goes on
        where it was.
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
