"""Secrets that are made once and kept in a file: whole or not at all, and the first writer wins.

The settings import this before anything is set up, so it knows the standard library alone.
"""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The text of `path`, which `make` makes where there is none yet.

    Several processes of one first start may ask at once: all of them get the same text.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written whole under a name of its own first, so that whoever finds the file finds all of
        # it. A link, not a rename: it fails where the file exists, and nobody's secret is replaced.
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(make() + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text().strip()
