"""Secrets that are made once and kept in a file: whole or not at all, and the first writer wins.

The settings import this before anything is set up, so it knows the standard library alone.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600  # for the site's own user alone


def make_private_folder(path: Path) -> None:
    """Make the folder where it is missing, and close it to other users of the machine.

    Mails, uploads and the database lie in it, each written by a library with modes of its own.
    """
    with contextlib.suppress(OSError):  # who needs it says so in words of their own
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        if not path.stat().st_mode & stat.S_ISVTX:  # such as /tmp, which belongs to everybody
            _restrict(path, PRIVATE_FOLDER)


def make_private_database(path: Path) -> None:
    """The same for a file of SQLite, which gives the mode of a database to the logs that it makes beside it."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
    for suffix in ("", "-wal", "-shm"):
        _restrict(path.with_name(path.name + suffix), PRIVATE_FILE)


def _restrict(path: Path, mode: int) -> None:
    """Take from others what they may do, where there is such a path and it is ours."""
    with contextlib.suppress(OSError):
        now = stat.S_IMODE(path.stat().st_mode)
        if now & ~mode:
            path.chmod(now & mode)


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The text of `path`, which `make` makes where there is none yet.

    Several processes of one first start may ask at once: all of them get the same text.
    """
    if not path.exists():
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        # Written whole under a name of its own first, so that whoever finds the file finds all of
        # it. A link, not a rename: it fails where the file exists, and nobody's secret is replaced.
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(fd, "w") as file:
                file.write(make() + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    _restrict(path, PRIVATE_FILE)
    return path.read_text().strip()
