"""A directory as the store."""

import shutil
from pathlib import Path
from typing import BinaryIO

from distribution.errors import StoreError
from distribution.stores.base import Advance
from distribution.stores.copying import full, sweep, write_checked


class LocalStore:
    """Keys are paths below `root`. Several processes, also of several machines that share it,
    may use it at once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_room(self, needed: int) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        sweep(self.root)
        if needed > shutil.disk_usage(self.root).free:
            raise full(self.root, needed)

    def put(self, key: str, path: Path, *, sha256: str, advance: Advance | None = None) -> None:
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

    def _path(self, key: str) -> Path:
        path = self.root / key
        assert path.resolve().is_relative_to(self.root.resolve()), (
            "keys are ours and never leave the root"
        )
        return path
