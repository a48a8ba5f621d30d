"""Opening what a manager hands over: the file itself, or the one that matters in a zip."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import IO, cast

MOST_BYTES = 1024**3  # unpacked; a ROR dump has a quarter of a gigabyte
MOST_RATIO = 200  # times as large as the zip; of JSON and CSV it is ten or twenty
MOST_MEMBERS = 100
DIRECTORY_BYTES = 64 * 1024  # of the list of members at the end of a zip
_END = struct.Struct("<4s4H2LH")  # the record that says where that list is
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
    size = _check_directory(file)
    try:
        with (
            zipfile.ZipFile(file) as archive,
            archive.open(_wanted(archive, ending, size)) as inside,
        ):
            # A small buffer, whatever the size of what is packed.
            yield cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, inside)))
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Unreadable(f"The zip file is broken: {error}.") from None


def _check_directory(file: IO[bytes]) -> int:
    """The size of the zip. Raises Unreadable where its list of members is long: to read a million of them takes a
    gigabyte.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END.size))  # one with a comment behind it is none of a publisher's
    record = file.read(_END.size)
    file.seek(0)
    if len(record) < _END.size or record[:4] != b"PK\x05\x06":
        raise Unreadable(
            "The zip file is broken, or has a comment at its end; unpack it and load the file in it."
        )
    _, _, _, _, members, directory, offset, _ = _END.unpack(record)
    if members > MOST_MEMBERS or directory > DIRECTORY_BYTES:
        raise Unreadable(f"The zip holds more than {MOST_MEMBERS} files.")
    if offset + directory + _END.size != size:  # as with zip64's own record, or bytes in front
        raise Unreadable("The zip file is of an unusual form; unpack it and load the file in it.")
    return size


def _wanted(archive: zipfile.ZipFile, ending: str, size: int) -> zipfile.ZipInfo:
    fitting = [one for one in archive.infolist() if one.filename.lower().endswith(ending)]
    if not fitting:
        raise Unreadable(f"There is no {ending} file in the zip.")
    # Of a dump in two schemas, the newer one.
    chosen = max(fitting, key=lambda one: ("schema_v2" in one.filename, one.file_size))
    # What is read ends at this size, and a checksum that does not fit is an error.
    if chosen.file_size > min(MOST_BYTES, MOST_RATIO * size):
        raise Unreadable(f"{chosen.filename} is far larger unpacked than a list of this kind is.")
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
