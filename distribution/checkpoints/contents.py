"""What a file of a release is by its content, whatever its name says, and whether it may be published.

Looked at as the programs do that load it: torch.load, pickle, joblib and numpy go by the first bytes, zip
readers by the last, and from_pretrained runs the code that a configuration points to.
"""

import json
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from distribution import folders
from distribution.checkpoints.gguf_files import check_gguf
from distribution.checkpoints.headers import read_header
from distribution.checkpoints.pickles import ImportFound, UnclearPickle, pickles_in
from distribution.checkpoints.torch_archives import FIRST
from distribution.errors import PublishError

PICKLED = frozenset({".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib"})
NEVER_EMPTY = PICKLED | {".safetensors", ".json", ".model", ".gguf", ".npy", ".h5"}
PAGES = frozenset({".html", ".htm"})
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch.save wrote it first, before it wrote zips
MOST_OF_JSON = 256 * 1024 * 1024  # bytes; the largest tokenizer.json has a tenth of it

POINTER = re.compile(rb"version https://(git-lfs\.github\.com|hawser\.github\.com)/spec/")
PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.I | re.S
)
COMPRESSED = re.compile(
    rb"\x1f[\x8b\x9d]|BZh[1-9]1AY&SY|\xfd7zXZ\0|\x5d\0\0|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18|7z\xbc\xaf|Rar!"
)
PROGRAM = re.compile(rb"\x7fELF|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe\0\0")
NUMPY = re.compile(
    rb"\x93NUMPY(\x01\0..|[\x02\x03]\0....)\{'descr': '[<>|=][biufc]\d+', 'fortran_order': (True|False), "
    rb"'shape': \([\d, ]*\), ?\}\s*",
    re.S,
)
# A tag of Python, however it is written: by its whole name, by a prefix, or with %-escapes.
YAML_CODE = re.compile(rb"^%TAG|!\S*(python/|%[0-9a-f]{2})", re.I | re.M)
CODE_KEYS = ("auto_map", "custom_pipelines")  # of a configuration: which code from_pretrained runs


def check_content(path: Path, *, with_code: bool = False) -> None:
    """Raise PublishError for a file that runs something when it is loaded, or that is not what it should be.

    with_code: the release may have Python source, which clients run only with trust_remote_code.
    """
    suffix, name = path.suffix.lower(), path.name
    if not path.stat().st_size:
        if suffix in NEVER_EMPTY:
            raise PublishError(
                f"{name} is empty (0 bytes). Copy it again from its source, then publish again."
            )
        return
    with _mapped(path) as content:
        _check_mistakes(name, suffix, content)
        _check_archives(path, content)
        is_zip = content[:4] == FIRST
        if not is_zip:
            _check_pickles(name, content)
            _check_numpy(name, suffix, content)
    if is_zip or suffix in PICKLED or suffix == ".safetensors":
        read_header(path)
    if suffix == ".gguf":
        check_gguf(path)
    _check_code(path, suffix, with_code)


@contextmanager
def _mapped(path: Path) -> Iterator[mmap]:
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        yield content


def _check_mistakes(name: str, suffix: str, content: mmap) -> None:
    """What came in place of the file."""
    head = content[:1024]
    if POINTER.match(head):
        raise PublishError(
            f"{name} is a Git LFS pointer, not the file itself. Run `git lfs pull` where you cloned the "
            f"repository, copy the file again, then publish again."
        )
    if suffix not in PAGES and PAGE.match(head):
        raise PublishError(
            f"{name} is a web page (HTML), not the file: a server answered the download with a page, perhaps "
            f"to sign in. Download the file again, signed in, then publish again."
        )


def _check_archives(path: Path, content: mmap) -> None:
    """Of archives only the form of torch.save is taken, and nothing that is two things in one."""
    name = path.name
    if _is_tar(content[:512]):
        raise _refused(
            name,
            "It is a tar archive, as torch.save wrote before 0.1.10. Load it where it came from and save its "
            "state_dict with torch.save, or unpack it and publish its files",
        )
    if COMPRESSED.match(content[:16]) or _is_zlib(content[:256]):
        raise _refused(name, "It is compressed. Unpack it and publish the files that are in it")
    if PROGRAM.match(content[:8]) or _is_windows_program(content):
        raise _refused(name, "It is a program or a library. Remove it")
    if content[:4] == b"\x89HDF" or name.lower() in ("saved_model.pb", "keras_metadata.pb"):
        raise _refused(
            name,
            "Keras and TensorFlow keep code beside the weights in this format. Save the weights as safetensors",
        )
    members = _zip_members(path)
    if members and content[:4] != FIRST:
        raise _refused(
            name, "It has a zip archive behind other bytes. Copy it again from its source"
        )
    is_torchs = any(member.lower().endswith("data.pkl") for member in members)
    if members and not is_torchs and path.suffix.lower() not in PICKLED:
        raise _refused(
            name, "It is a zip archive, which may hold anything. Unpack it and publish its files"
        )


def _zip_members(path: Path) -> list[str]:
    """As Python's zipfile finds them, which looks for the end of an archive, not for its beginning."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        return []


def _is_zlib(start: bytes) -> bool:
    try:
        return bool(zlib.decompressobj().decompress(start, 16))
    except zlib.error:
        return False


def _is_tar(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _is_windows_program(content: mmap) -> bool:
    place = int.from_bytes(content[60:64], "little")
    return content[:2] == b"MZ" and content[place : place + 4] == b"PE\0\0"


def _check_pickles(name: str, content: mmap) -> None:
    """An unpickler takes any bytes from the first on, until one is no opcode."""
    try:
        for value in pickles_in(content):
            if value == LEGACY_MAGIC and type(value) is int:
                raise _refused(
                    name,
                    "It is in the form of torch.save before version 1.6, a row of pickles. Load it where it "
                    "came from and save its state_dict again with torch.save, or as safetensors",
                )
            if content[0] == 0x80:  # by which every pickle begins that has a protocol
                raise _refused(name, f"It is a bare pickle. {SAVE}")
    except ImportFound as found:
        raise _refused(
            name,
            f"It is a pickle that asks for `{found}`, which could run code when the file is loaded. {SAVE} "
            f"(if it is a text, change its first line)",
        ) from found
    except UnclearPickle as error:
        raise _refused(name, f"It is a pickle that cannot be followed: {error}. {SAVE}") from error


SAVE = "Save tensors as safetensors or with torch.save(state_dict), and other data as JSON"


def _check_numpy(name: str, suffix: str, content: mmap) -> None:
    if content[:6] == b"\x93NUMPY":
        if not NUMPY.match(content[:4096]):
            raise _refused(
                name, "It is a NumPy array of objects, which are pickles. Save an array of numbers"
            )
    elif suffix == ".npy":
        raise PublishError(f"{name} is no NumPy array. Copy it again from its source.")


def _check_code(path: Path, suffix: str, with_code: bool) -> None:
    if suffix == ".json":
        _check_json(path, with_code)
    elif suffix in (".yaml", ".yml"):
        with _mapped(path) as content:
            if YAML_CODE.search(content):
                raise _refused(path.name, "It has YAML tags that call Python. Remove them")
    elif suffix in (".pyc", ".pyo", ".pyd"):
        raise _refused(path.name, "It is compiled Python. Remove it")
    elif suffix == ".py" and not with_code:
        raise _refused(path.name, f"It is Python code. Remove it, or {WITH_CODE}")


WITH_CODE = "publish with --with-code if the model cannot be loaded without its own code"


def _check_json(path: Path, with_code: bool) -> None:
    if path.stat().st_size > MOST_OF_JSON:
        raise PublishError(f"{path.name} has more than {MOST_OF_JSON:,} bytes. Remove it.")
    pointing: list[str] = []

    def note(table: dict[str, Any]) -> dict[str, Any]:
        pointing.extend(key for key in CODE_KEYS if isinstance(table.get(key), dict | list))
        return table

    try:
        content = json.loads(path.read_bytes().decode(), object_hook=note)
    except (ValueError, RecursionError) as error:
        raise PublishError(
            f"{path.name} is not readable JSON ({error}). Correct it, then publish again."
        ) from error
    if path.name.lower().endswith(".index.json"):
        _check_index(path.name, content)
    if pointing and not with_code:
        raise _refused(
            path.name,
            f"Its `{pointing[0]}` makes from_pretrained run code. Remove that key, or {WITH_CODE}",
        )


def _check_index(name: str, content: Any) -> None:
    """An index names files beside it, and none elsewhere on the computer of who loads it."""
    files = content.get("weight_map") if isinstance(content, dict) else None
    for file in files.values() if isinstance(files, dict) else ():
        if not (isinstance(file, str) and folders.SEGMENT.fullmatch(file)):
            raise PublishError(
                f"{name} names a file that is not beside it: {str(file)[:80]!r}. Publish the index that was "
                f"saved with these files."
            )


def _refused(name: str, why: str) -> PublishError:
    return PublishError(f"{name} is refused: weights only. {why}, then publish again.")
