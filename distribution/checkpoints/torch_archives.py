"""The zip that `torch.save` writes, read so strictly that every reader finds the same in it.

PyTorch looks for a member's name without case, Python's zipfile takes bytes in front of the first member, and
others read the members one after the other. So a file is refused unless all of them agree: members without
compression that fill it from its first byte to the table of members, each listed there once, and nothing else.
"""

import re
import stat
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

MAX_TABLE = 64 * 1024 * 1024  # bytes of the table of members
MAX_MEMBERS = 200_000

FIRST, LISTED, DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
LOCAL = struct.Struct("<4s5H3I2H")  # before each member
ENTRY = struct.Struct("<4s6H3I5H2I")  # of the table
END = struct.Struct("<4s4H2IH")
END_64, LOCATOR_64 = struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF  # "the 64-bit field has it"
HAS_DESCRIPTOR, IS_UTF8, IS_LOCKED = 0x8, 0x800, 0x1
DIRECTORY = 0x10  # of the external attributes
SIZES_64, PADDING = 1, 0x4246  # kinds of extra fields; torch pads with the second

NAME = re.compile(rb"[ -.0-\[\]-~]+(/[A-Za-z0-9_.+-]+)+")  # ASCII, in a folder, without a backslash
CODE = re.compile(rb"[^/]+/(code/|constants\.pkl$)", re.IGNORECASE)
RECORD = re.compile(
    r"(data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id|data/\w+)",
    re.ASCII,
)


class NotAnArchive(Exception):
    """What is wrong with the archive, as a part of a sentence."""


class CutShort(NotAnArchive):
    """Its end is missing."""


class HoldsCode(NotAnArchive):
    """It is one of TorchScript's."""


@dataclass(frozen=True)
class Member:
    """A member, whose bytes lie at `start`. header: where its local header begins."""

    name: str
    flags: int
    crc: int
    size: int
    header: int
    start: int = 0


def members_of(file: BinaryIO) -> dict[str, Member]:
    """The records of an archive by their name behind its folder (`data.pkl`, `data/0`).
    Raises NotAnArchive.
    """
    if file.read(4) != FIRST:
        raise NotAnArchive("it does not begin as torch.save writes since version 1.6")
    file.seek(0, 2)
    table, end, count = _end(file, file.tell())
    entries = _entries(_read(file, table, end - table), count)
    entries.sort(key=lambda member: member.header)
    position, found = 0, {}
    for index, entry in enumerate(entries):
        following = entries[index + 1].header if index + 1 < len(entries) else table
        member = _located(file, entry, position, following)
        position = following
        found[member.name] = member
    if not entries or position != table:
        raise NotAnArchive("it has bytes in front of its table that belong to no member")
    return _records(found)


def content_of(file: BinaryIO, member: Member) -> bytes:
    """Raises NotAnArchive where the bytes are not those of their checksum."""
    content = _read(file, member.start, member.size)
    if zlib.crc32(content) != member.crc:
        raise NotAnArchive(f"{member.name} does not have the checksum that is listed for it")
    return content


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    content = file.read(count) if count >= 0 else b""
    if len(content) != count:
        raise CutShort("its end is missing")
    return content


def _end(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Where the table of members begins and ends, and how many it has."""
    at = size - END.size
    if at < 0 or (tail := _read(file, at, END.size))[:4] != b"PK\x05\x06":
        raise _without_end(file, size)
    _, disk, first_disk, here, count, length, start, comment = END.unpack(tail)
    end = at
    if at >= LOCATOR_64.size and _read(file, at - LOCATOR_64.size, 4) == b"PK\x06\x07":
        wide = _end_64(file, at - LOCATOR_64.size)
        for narrow, value, full in zip(
            (disk, first_disk, here, count, length, start),
            wide,
            (FULL_16,) * 4 + (FULL_32,) * 2,
            strict=True,
        ):
            if narrow not in (value, full):
                raise NotAnArchive("its two ends contradict each other")
        disk, first_disk, here, count, length, start = wide
        end = at - LOCATOR_64.size - END_64.size
    if comment or disk or first_disk or here != count:
        raise NotAnArchive("it has a comment, or is one part of several")
    if start + length != end or length > MAX_TABLE or count > MAX_MEMBERS:
        raise NotAnArchive("its table of members does not lie where its end says, or is too long")
    return start, end, count


def _without_end(file: BinaryIO, size: int) -> NotAnArchive:
    begin = max(0, size - END.size - FULL_16)
    found = _read(file, begin, size - begin).rfind(b"PK\x05\x06")
    if found >= 0 and size - begin - found >= END.size:
        return NotAnArchive("it goes on behind its end, or has a comment there")
    return CutShort("its end is missing")


def _end_64(file: BinaryIO, locator: int) -> tuple[int, ...]:
    _, disk, at, disks = LOCATOR_64.unpack(_read(file, locator, LOCATOR_64.size))
    if disk or disks != 1 or at != locator - END_64.size or at < 0:
        raise NotAnArchive("its 64-bit end does not lie where it says")
    magic, length, _, _, *values = END_64.unpack(_read(file, at, END_64.size))
    if magic != b"PK\x06\x06" or length != END_64.size - 12:
        raise NotAnArchive("its 64-bit end is damaged")
    return tuple(values)


def _entries(table: bytes, count: int) -> list[Member]:
    found, at, names = [], 0, set()
    while at < len(table):
        if len(table) - at < ENTRY.size:
            raise NotAnArchive("its table of members is damaged")
        (magic, _, _, flags, method, _, _, crc, packed, size, *lengths, disk, _, mode, header) = (
            ENTRY.unpack_from(table, at)
        )
        at += ENTRY.size
        raw, extra, comment = (_slice(table, at, lengths, number) for number in range(3))
        at += sum(lengths)
        if magic != LISTED or comment or len(raw) + len(extra) != sum(lengths):
            raise NotAnArchive("its table of members is damaged, or has comments")
        if CODE.match(raw):
            raise HoldsCode("it is a TorchScript archive, which holds code")
        if not NAME.fullmatch(raw) or b".." in raw.split(b"/") or b"." in raw.split(b"/"):
            raise NotAnArchive(f"it has a member of the name {raw[:80]!r}")
        name = raw.decode()
        # For a directory PyTorch's reader hands out memory that nothing was read into.
        if mode & DIRECTORY or stat.S_IFMT(mode >> 16) not in (0, stat.S_IFREG):
            raise NotAnArchive(f"{name} is listed as a directory or a link")
        if flags & IS_LOCKED or flags & ~(HAS_DESCRIPTOR | IS_UTF8):
            raise NotAnArchive(f"{name} is encrypted, or packed in an unknown way")
        size, packed, header, disk = _widened(extra, size, packed, header, disk)
        if method or size != packed:
            raise NotAnArchive(f"{name} is compressed, which torch.save never does")
        if disk:
            raise NotAnArchive(f"{name} is on another disk")
        if name.lower() in names:
            raise NotAnArchive(f"it has more than one member of the name {name} (without case)")
        names.add(name.lower())
        found.append(Member(name, flags, crc, size, header))
    if len(found) != count:
        raise NotAnArchive("its table has another number of members than its end says")
    return found


def _slice(table: bytes, at: int, lengths: list[int], number: int) -> bytes:
    start = at + sum(lengths[:number])
    return table[start : start + lengths[number]]


def _widened(extra: bytes, size: int, packed: int, header: int, disk: int) -> tuple[int, ...]:
    """The same numbers, in 64 bits where they are written so."""
    fields = _extra_fields(extra)
    content = fields.get(SIZES_64, b"")
    widened = []
    for value, full, form in (
        (size, FULL_32, "<Q"),
        (packed, FULL_32, "<Q"),
        (header, FULL_32, "<Q"),
        (disk, FULL_16, "<I"),
    ):
        if value == full:
            width = struct.calcsize(form)
            if len(content) < width:
                raise NotAnArchive("a 64-bit field of its table is missing")
            (value,), content = struct.unpack_from(form, content), content[width:]
        widened.append(value)
    if content:
        raise NotAnArchive("a 64-bit field of its table is not used")
    return tuple(widened)


def _extra_fields(extra: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while extra:
        if len(extra) < 4:
            raise NotAnArchive("an extra field of a member is damaged")
        kind, length = struct.unpack_from("<2H", extra)
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        is_known = kind == SIZES_64 or (kind == PADDING and not content.strip(b"Z"))
        if not is_known or kind in fields or len(content) != length:
            raise NotAnArchive("a member has an extra field that torch.save does not write")
        fields[kind] = content
    return fields


def _located(file: BinaryIO, entry: Member, position: int, following: int) -> Member:
    """The member with the place of its bytes; it must fill the file from `position` to `following`."""
    if entry.header != position or following < position:
        raise NotAnArchive(
            f"in front of {entry.name} lie bytes that belong to no member, or members overlap"
        )
    magic, _, flags, method, _, _, crc, _, size, name_length, extra_length = LOCAL.unpack(
        _read(file, position, LOCAL.size)
    )
    rest = _read(file, position + LOCAL.size, name_length + extra_length)
    later = bool(flags & HAS_DESCRIPTOR)  # checksum and size stand behind the bytes
    if (
        magic != FIRST
        or rest[:name_length].decode("latin-1") != entry.name
        or (flags, method) != (entry.flags, 0)
        or (crc != entry.crc and not (later and crc == 0))
        or size not in ((entry.size, FULL_32, 0) if later else (entry.size, FULL_32))
    ):
        raise NotAnArchive(f"{entry.name} is listed otherwise than it lies in the file")
    _extra_fields(rest[name_length:])
    start = position + LOCAL.size + name_length + extra_length
    _check_descriptor(_read(file, start + entry.size, _length(entry, start, following)), entry)
    return Member(entry.name, entry.flags, entry.crc, entry.size, entry.header, start)


def _length(entry: Member, start: int, following: int) -> int:
    """Bytes of the descriptor behind the member's own."""
    length = following - start - entry.size
    if length not in ((16, 24) if entry.flags & HAS_DESCRIPTOR else (0,)):
        raise NotAnArchive(f"{entry.name} does not end where the next member begins")
    return length


def _check_descriptor(content: bytes, entry: Member) -> None:
    if content:
        form = "<4sI2I" if len(content) == 16 else "<4sI2Q"
        if struct.unpack(form, content) != (DESCRIPTOR, entry.crc, entry.size, entry.size):
            raise NotAnArchive(f"{entry.name} is described otherwise behind its bytes")


def _records(found: dict[str, Member]) -> dict[str, Member]:
    """By their names behind the archive's one folder."""
    folders = {name.split("/")[0] for name in found}
    records = {name.split("/", 1)[1]: member for name, member in found.items()}
    if "data.pkl" not in records or len(folders) != 1:
        raise NotAnArchive("it does not have one folder with one record named data.pkl")
    if odd := sorted(name for name in records if not RECORD.fullmatch(name)):
        raise NotAnArchive(f"it has a member {odd[0]}, which torch.save does not write")
    return records
