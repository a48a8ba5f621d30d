"""A directory as the store."""

import shutil
from pathlib import Path
from typing import BinaryIO

from distribution.errors import StoreError
from distribution.hashing import Advance, Digest
from distribution.stores.base import key_of
from distribution.stores.copying import full, sweep, write_checked
from distribution.stores.incoming import INCOMING, sweep_old, take_in


class LocalStore:
    """Keys are paths below `root`. Several processes, also of several machines that share it,
    may use it at once.
    """

    binds_range = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_room(self, needed: int) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        sweep(self.root)
        sweep_old(self.root / INCOMING)
        if needed > shutil.disk_usage(self.root).free:
            raise full(self.root, needed)

    def pending(self, mark: str) -> int:
        try:
            return self._draft(mark).stat().st_size
        except OSError:
            return 0

    def forget(self, mark: str) -> None:
        self._draft(mark).unlink(missing_ok=True)

    def bring(
        self,
        path: Path,
        *,
        mark: str,
        known: Digest | None = None,
        advance: Advance | None = None,
        hashed: Advance | None = None,
    ) -> Digest:
        if known is not None:
            key = key_of(known.sha256)
            self.put(key, path, sha256=known.sha256, chunks=known.chunks, advance=advance)
            return known
        found = take_in(
            path, self._draft(mark), lambda sha256: self._path(key_of(sha256)), advance=advance
        )
        if self.size(key_of(found.sha256)) != found.size:
            raise StoreError(
                f"The store does not have {path.name} as it was written. Look at the disk of "
                f"{self.root}, then publish again."
            )
        return found

    def put(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        chunks: tuple[str, ...] = (),
        advance: Advance | None = None,
    ) -> None:
        size = path.stat().st_size
        if self.size(key) is not None:
            if advance:
                advance(size)
            return
        with path.open("rb") as source:
            write_checked(source, self._path(key), sha256=sha256, size=size, advance=advance)

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except OSError as error:
            raise StoreError(f"The store cannot read {key}: {error.strerror}.") from error

    def size(self, key: str) -> int | None:
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"The store cannot look at {key}: {error.strerror}.") from error

    def fetch(self, key: str, target: Path, *, sha256: str) -> None:
        with self.open(key) as source:
            write_checked(source, target, sha256=sha256, size=self.size(key))

    def presigned_url(
        self, key: str, *, filename: str, seconds: int, asked: str = ""
    ) -> str | None:
        return None

    def local_path(self, key: str) -> Path | None:
        return self._path(key)

    def _draft(self, mark: str) -> Path:
        return self.root / INCOMING / mark

    def _path(self, key: str) -> Path:
        path = self.root / key
        assert path.resolve().is_relative_to(self.root.resolve()), (
            "keys are ours and never leave the root"
        )
        return path
