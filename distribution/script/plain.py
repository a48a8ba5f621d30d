"""What the script reads: one thing a line, the word of its kind first, `end` last.

bash cannot read JSON. These lines hold the same as the manifest and the links do, and the script makes
the signed manifest again from them, byte for byte.
"""

import base64
from collections.abc import Container, Iterable

from distribution import signing
from distribution.checkpoints.layouts import layouts_of
from distribution.hashing import CHUNK_SIZE
from distribution.links import Link
from distribution.manifest import Entry, document
from distribution.models import Revision
from portal.catalog.models import Release

FORMAT = "weighbridge-plain/1"
ORIGINAL_NAMES = {"params.json", "checklist.chk"}
SAFETENSORS_NAMES = {
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


def releases(rows: Iterable[tuple[Release, int, int]]) -> str:
    """rows: release, number of its files, their bytes. A line is `release SLUG BYTES FILES REPO`."""
    return _text(
        f"release {release.slug} {size} {files} {release.repo_id}" for release, files, size in rows
    )


def manifest(revision: Revision, entries: Iterable[Entry]) -> str:
    """Lines `file SHA256 SIZE LAYOUT PATH`, behind each `chunk SHA256` for its chunks; before them what
    the manifest says beside its files, and its signature in base 64.
    """
    release, ordered = revision.release, sorted(entries)
    signature = signing.signature(document(release.repo_id, revision.digest, ordered))
    lines = [
        f"release {release.slug}",
        f"repo {release.repo_id}",
        f"revision {revision.digest}",
        f"chunk_size {CHUNK_SIZE}",
        f"signature {base64.b64encode(signature).decode()}",
    ]
    there = layouts_of(entry.path for entry in ordered)
    for entry in ordered:
        layout = layout_of(entry.path, there)
        lines.append(f"file {entry.sha256} {entry.size} {layout} {entry.path}")
        lines += [f"chunk {chunk}" for chunk in entry.chunks]
    return _text(lines)


def links(issued: Iterable[Link]) -> str:
    """Lines `link URL`, in the order in which they were asked for."""
    return _text(f"link {link.url}" for link in issued)


def layout_of(path: str, there: Container[str]) -> str:
    """`original` or `safetensors` for a file that only this one of the layouts `there` needs, else `both`."""
    folder, _, name = path.rpartition("/")
    layout = "both"
    if folder.split("/")[0] == "original" or name.endswith(".pth") or name in ORIGINAL_NAMES:
        layout = "original"
    elif name.endswith((".safetensors", ".safetensors.index.json")) or name in SAFETENSORS_NAMES:
        layout = "safetensors"
    return layout if layout in there else "both"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in (FORMAT, *lines, "end"))
