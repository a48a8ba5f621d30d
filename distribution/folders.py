"""Which files a folder offers for publication, and which it must not hold."""

import os
import re
import stat
from pathlib import Path, PurePosixPath

from distribution.errors import PublishError

# What every file system, shell and URL takes without quoting.
SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
MAX_PATH = 255  # characters, as Artifact.path holds


def walk(folder: Path) -> list[str]:
    """The paths of all files in the folder, relative, with `/`, sorted. Raises PublishError."""
    if not folder.is_dir():
        raise PublishError(
            f"{folder} is not a folder. Give the folder that holds params.json or config.json."
        )
    found: list[str] = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        for name in folders:
            _check_name(folder, Path(place, name))
            if Path(place, name).is_symlink():
                raise _refused(
                    folder,
                    Path(place, name),
                    "is a link to a folder",
                    "Put the files themselves here",
                )
        found += [_checked_file(folder, Path(place, name)) for name in files]
    if not found:
        raise PublishError(
            f"{folder} is empty. Give the folder that holds params.json or config.json."
        )
    _check_case(found)
    return sorted(found)


def _check_case(paths: list[str]) -> None:
    """macOS and Windows keep one file of two whose names differ in case alone."""
    seen: dict[str, str] = {}
    for path in sorted(paths):
        for part in (path, *map(str, PurePosixPath(path).parents)):
            other = seen.setdefault(part.lower(), part)
            if other != part:
                raise PublishError(
                    f"{other} and {part} differ only in upper and lower case, and many systems keep one of "
                    f"them. Rename or remove one, then publish again."
                )


def _unreadable(error: OSError) -> None:
    raise PublishError(
        f"{error.filename} cannot be read ({error.strerror}). Mend that, then publish again."
    )


def _checked_file(folder: Path, path: Path) -> str:
    relative = _check_name(folder, path)
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise _refused(
            folder, path, "is a link that leaves the folder", "Copy the file itself here"
        )
    try:
        kind = path.stat().st_mode
    except OSError as error:
        raise _refused(folder, path, f"cannot be read ({error.strerror})", "Mend or remove it")
    if not stat.S_ISREG(kind):
        raise _refused(folder, path, "is not an ordinary file", "Remove it")
    return relative


def _check_name(folder: Path, path: Path) -> str:
    relative = path.relative_to(folder).as_posix()
    if path.name.startswith("."):
        raise _refused(
            folder, path, "is hidden", "Remove it, or rename it if it belongs to the release"
        )
    if not SEGMENT.fullmatch(path.name):
        raise _refused(
            folder,
            path,
            "has a name that not every system takes",
            "Use only letters, digits and _ . + - in names",
        )
    if len(relative) > MAX_PATH:
        raise _refused(folder, path, f"has a path of more than {MAX_PATH} characters", "Shorten it")
    return relative


def _refused(folder: Path, path: Path, found: str, remedy: str) -> PublishError:
    return PublishError(
        f"{path.relative_to(folder).as_posix()!r} {found}. {remedy}, then publish again."
    )
