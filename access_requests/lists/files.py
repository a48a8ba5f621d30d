"""Opening what a manager hands over: the file itself, or the one that matters in a zip."""

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import IO, cast

MOST_BYTES = 4 * 1024**3  # unpacked; a ROR dump has a quarter of a gigabyte
_VERSION = re.compile(r"\bv(\d+(?:\.\d+)*)")
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")


class Unreadable(Exception):
    """The file is not what it should be; the text says what is wrong, for a person."""


@contextmanager
def opened(file: IO[bytes], ending: str) -> Iterator[IO[bytes]]:
    """The content as a stream: of the file, or of the file with that ending inside a zip."""
    file.seek(0)
    is_zip = file.read(4) == b"PK\x03\x04"
    file.seek(0)
    if not is_zip:
        yield file
        return
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_wanted(archive, ending)) as inside:
            # A small buffer, whatever the size of what is packed.
            yield cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, inside)))
    except (zipfile.BadZipFile, EOFError) as error:
        raise Unreadable(f"The zip file is broken: {error}.") from None


def _wanted(archive: zipfile.ZipFile, ending: str) -> zipfile.ZipInfo:
    fitting = [one for one in archive.infolist() if one.filename.lower().endswith(ending)]
    if not fitting:
        raise Unreadable(f"There is no {ending} file in the zip.")
    # Of a dump in two schemas, the newer one.
    chosen = max(fitting, key=lambda one: ("schema_v2" in one.filename, one.file_size))
    if chosen.file_size > MOST_BYTES:
        raise Unreadable(f"{chosen.filename} is larger than four gigabytes.")
    return chosen


def version_in(name: str) -> str:
    found = _VERSION.search(name)
    return f"v{found[1]}" if found else ""


def day_in(name: str) -> date | None:
    """The day in a file's name, as publishers write it: 2026-10-28 or 20261028."""
    for found in _DAY.finditer(name):
        try:
            return date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            continue
    return None
