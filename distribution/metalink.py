"""Metalink 4 (RFC 5854): one file that tells a download program what to fetch and how to check it."""

from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # written, never read

from distribution.hashing import CHUNK_SIZE
from distribution.manifest import Entry

NAMESPACE = "urn:ietf:params:xml:ns:metalink"
CONTENT_TYPE = "application/metalink4+xml"


def document(entries: Iterable[Entry], urls: Mapping[str, str]) -> bytes:
    """Each file with its size, its SHA-256, that of each 64 MiB piece, and its address in `urls`."""
    root = Element("metalink", xmlns=NAMESPACE)
    for entry in sorted(entries):
        _file(root, entry, urls[entry.path])
    indent(root)
    return tostring(root, "utf-8", xml_declaration=True) + b"\n"


def _file(root: Element, entry: Entry, url: str) -> None:
    file = SubElement(root, "file", name=entry.path)
    SubElement(file, "size").text = str(entry.size)
    SubElement(file, "hash", type="sha-256").text = entry.sha256
    if entry.chunks:
        pieces = SubElement(file, "pieces", length=str(CHUNK_SIZE), type="sha-256")
        for chunk in entry.chunks:
            SubElement(pieces, "hash").text = chunk
    SubElement(file, "url", priority="1").text = url
