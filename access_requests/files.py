"""What an attached file really is: read from its bytes, never from its name or what a browser says.

Only whole files pass. A phone writes a short film or padding behind a picture's end, and programs
put a line before a PDF or behind it, as readers allow: such files pass too, for they are only ever
handed out to be saved, under the type found here.
"""

import struct
import zlib

ATTACHMENT_LIMIT = 5 * 1024 * 1024  # bytes
PDF, PNG, JPEG = "application/pdf", "image/png", "image/jpeg"
ENDINGS = {PDF: ".pdf", PNG: ".png", JPEG: ".jpg"}
PDF_SPARE = 1024  # bytes before the header and behind the end, as Acrobat allows
_PNG = b"\x89PNG\r\n\x1a\n"


def real_type(content: bytes) -> str | None:
    """The media type of a whole PDF, PNG or JPEG; None for everything else."""
    if content.startswith(_PNG):
        return PNG if _is_whole_png(content) else None
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG if _is_whole_jpeg(content) else None
    return PDF if _is_whole_pdf(content) else None


def _is_whole_pdf(content: bytes) -> bool:
    """Its header, at most behind lines of text, and its end, at most before a few more bytes."""
    start = content.find(b"%PDF-", 0, PDF_SPARE)
    if start < 0 or content[start + 5 : start + 7] not in (b"1.", b"2."):
        return False
    before = content[:start].removeprefix(b"\xef\xbb\xbf")  # the mark of UTF-8
    if before and (b"\0" in before or not before.endswith((b"\n", b"\r"))):
        return False
    end = content.rfind(b"%%EOF")
    return (
        start < content.rfind(b"startxref") < end
        and len(content[end:].rstrip(b"\r\n \t\0")) <= PDF_SPARE
    )


def _is_whole_png(content: bytes) -> bool:
    """Chunks with right checksums, from IHDR to IEND, and nothing behind it."""
    at, first = len(_PNG), True
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, end = content[at + 4 : at + 8], at + 12 + length
        if end > len(content) or (first and (kind, length) != (b"IHDR", 13)):
            return False
        (crc,) = struct.unpack_from(">I", content, end - 4)
        if crc != zlib.crc32(content[at + 4 : end - 4]):
            return False
        if kind == b"IEND":
            return length == 0 and end == len(content)
        at, first = end, False
    return False


def _is_whole_jpeg(content: bytes) -> bool:
    """Segments up to the start of the scan, with a frame among them, and the end mark after it.

    Within a scan the end mark cannot occur by chance; what follows it is the camera's own.
    """
    at, frame = 2, False
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9 or length < 2:
            return False
        frame = frame or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))
        at += 2 + length
        if marker == 0xDA:
            return frame and content.find(b"\xff\xd9", at) > at
    return False
