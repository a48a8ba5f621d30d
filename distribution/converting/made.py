"""A file that is not there yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Made:
    """A file of the other layout. `write` puts it at a path; twice it writes the same bytes.

    size: bytes, to the kilobyte.
    """

    path: str
    size: int
    write: Callable[[Path], None]


def made_text(path: str, text: str) -> Made:
    content = text.encode()

    def write(target: Path) -> None:
        target.write_bytes(content)

    return Made(path, len(content), write)
