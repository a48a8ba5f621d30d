"""checklist.chk: the MD5 of the files of the original layout, as `md5sum -c` reads them.

It came with the weights, so a file that it does not fit was damaged on its way here.
"""

import hashlib
import os
import re
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distribution.errors import PublishError
from distribution.hashing import BLOCK, Advance, Counter, Progress

NAME = "checklist.chk"
_LINE = re.compile(r"([0-9a-f]{32}) [ *](?:\./)?(.+)")


def check(folder: Path, *, known: Collection[str] = (), progress: Progress | None = None) -> None:
    """Compare the files with the list, if the folder has one. Raises PublishError.

    known: paths that were compared before and are the same since.
    """
    listed = _read(folder / NAME) if (folder / NAME).is_file() else {}
    for path in listed:
        if not (folder / path).is_file():
            raise PublishError(
                f"{NAME} lists {path}, and the folder does not have it. Add the file, or take it off the list."
            )
    paths = [path for path in listed if path not in known]
    total = sum((folder / path).stat().st_size for path in paths)
    counter, stopped = Counter("checking", total, progress), threading.Event()

    def advance(count: int) -> None:
        if (
            stopped.is_set()
        ):  # one does not fit, or somebody pressed Ctrl-C: the others need not be read
            raise InterruptedError
        counter.add(count)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            found = pool.map(lambda path: _md5(folder / path, advance), paths)
            for path, md5 in zip(paths, found, strict=True):
                if md5 != listed[path]:
                    raise PublishError(_differs(path, md5, listed[path]))
        except BaseException:
            stopped.set()
            raise


def _differs(path: str, md5: str, listed: str) -> str:
    return (
        f"{path} is not the file that {NAME} lists: its MD5 is {md5}, and {listed} is listed. "
        f"Fetch it again; if you changed it on purpose, write the list anew (md5sum)."
    )


def _read(path: Path) -> dict[str, str]:
    """Path of a file → its MD5, in hex."""
    listed = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip().lower()[:32] + line.rstrip()[32:])
        if match is None or Path(match[2]).is_absolute() or ".." in Path(match[2]).parts:
            raise PublishError(
                f"Line {number} of {NAME} is not an MD5, two spaces and the name of a file beside it. "
                f"Write the list anew (md5sum), or leave it out."
            )
        listed[match[2]] = match[1]
    return listed


def _md5(path: Path, advance: Advance) -> str:
    md5, buffer = hashlib.md5(usedforsecurity=False), memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            md5.update(buffer[:count])
            advance(count)
    return md5.hexdigest()
