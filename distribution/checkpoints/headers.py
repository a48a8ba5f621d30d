"""Names, types and shapes of the tensors in a file: of `.safetensors` headers and `.pth` pickles.

Memory is bounded by the header, never by the weights. A pickle is a program; `_Reader` runs none
of it: the few names a plain checkpoint needs are known here BY NAME, and any other name ends the
reading.
"""

import json
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from distribution.errors import PublishError

MAX_HEADER = 64 * 1024 * 1024  # bytes; the 65B release needs under one
LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip, before the name of each member
MAX_MEMBERS = 200_000  # entries of one zip

PICKLES = frozenset({".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle"})

# dtype → bytes of one element
WIDTH = {
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1},
    **{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1},
}
STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}


@dataclass(frozen=True)
class Tensor:
    """What the header says of one tensor; `dtype` in safetensors' words (F16, BF16, …)."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """Where a tensor's elements lie: from byte `start` of the file, `stride` elements apart."""

    path: Path
    tensor: Tensor
    start: int
    stride: tuple[int, ...]


def read_header(path: Path) -> dict[str, Tensor]:
    """Every tensor of a `.safetensors` or pickled file by name. Raises PublishError with the
    reason.
    """
    return read_safetensors(path) if path.suffix == ".safetensors" else read_pth(path)


# ---- .pth: a zip of one pickle and one raw record for each storage -------------------------------


class _Storage(NamedTuple):
    dtype: str
    key: str
    elements: int


class _View(NamedTuple):
    """A tensor as the pickle builds it: a window on a storage.

    A tuple, as `_Storage` is: a pickle can set no attribute of it once it is checked.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def elements_needed(self) -> int:
        if 0 in self.shape:
            return 0
        return (
            self.offset
            + 1
            + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        )


def _rebuild(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _View:
    """In place of torch._utils._rebuild_tensor_v2."""
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("a tensor is described by something else than a storage and numbers")
    if len(shape) != len(stride):
        raise ValueError("a tensor has a shape and strides of different lengths")
    return _View(storage, offset, tuple(shape), tuple(stride))


class _Forbidden(Exception):
    """The pickle asks for something that is not weights."""


class _Reader(
    pickle._Unpickler
):  # the one in Python: the one in C lets a few bytes claim gigabytes of memo
    """Knows tensors and plain containers, and nothing that could run."""

    ALLOWED = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ALLOWED:
            return self.ALLOWED[module, name]
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise _Forbidden(f"{module}.{name}")

    def get_extension(self, code: int) -> None:
        raise _Forbidden(f"copyreg extension {code}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, elements = pid
        if kind != "storage" or dtype not in WIDTH or type(elements) is not int:
            raise ValueError("a storage is described in an unknown way")
        return _Storage(dtype, str(key), elements)


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a file written by `torch.save`, in the zip form (torch 1.6 and later)."""
    return {
        name: Tensor(view.storage.dtype, view.shape) for name, (view, _) in _views(path).items()
    }


def places_in_pth(path: Path) -> dict[str, Place]:
    """Where the tensors of such a file lie in it. Raises PublishError."""
    return {
        name: Place(
            path,
            Tensor(view.storage.dtype, view.shape),
            record + view.offset * WIDTH[view.storage.dtype],
            view.stride,
        )
        for name, (view, record) in _views(path).items()
    }


def _views(path: Path) -> dict[str, tuple[_View, int]]:
    """Each tensor, and the byte of the file at which its storage begins."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            views, prefix = _unpickle(path, archive)
            return {
                name: (view, _record(path, archive, prefix, name, view, file))
                for name, view in views.items()
            }
    # RuntimeError: locked, or packed in a way that zipfile does not know. ValueError: a false size.
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise _damaged(path, f"{error}") from error


def _unpickle(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, _View], str]:
    member = _pickle_member(path, archive)
    with archive.open(member) as file:
        try:
            table = _Reader(file).load()
        except _Forbidden as error:
            raise PublishError(
                f"{path.name} is refused: weights only. Its pickle asks for `{error}`, which "
                f"could run code "
                "when the file is loaded. Save a plain table of tensors with "
                "torch.save(state_dict), then publish again."
            ) from error
        except (OSError, zipfile.BadZipFile):
            raise
        except (
            Exception
        ) as error:  # a pickle is any bytes at all: each way to fail is a damaged file
            raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(table, dict):
        raise PublishError(
            f"{path.name} holds a {type(table).__name__}; expected a table of named tensors."
        )
    for name, value in table.items():
        if not isinstance(name, str) or not isinstance(value, _View):
            raise PublishError(
                f"{path.name} is refused: weights only. Its entry {str(name)[:80]!r} is a "
                f"{type(value).__name__}, "
                "not a tensor. Save the model's state_dict alone, then publish again."
            )
    return table, member.filename.removesuffix("data.pkl")


def _pickle_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise PublishError(
            f"{path.name} has {len(members):,} records; no checkpoint has more than "
            f"{MAX_MEMBERS:,}."
        )
    if any(re.search(r"(^|/)(code/|constants\.pkl$)", member.filename) for member in members):
        raise PublishError(
            f"{path.name} is refused: weights only. It is a TorchScript archive, which holds code."
        )
    pickles = [member for member in members if re.fullmatch(r"[^/]+/data\.pkl", member.filename)]
    if len(pickles) != 1:
        raise _damaged(path, f"{len(pickles)} records named data.pkl instead of one")
    if pickles[0].file_size > MAX_HEADER:
        raise PublishError(
            f"{path.name}: its data.pkl has {pickles[0].file_size:,} bytes; at most "
            f"{MAX_HEADER:,} are read."
        )
    return pickles[0]


def _record(
    path: Path,
    archive: zipfile.ZipFile,
    prefix: str,
    name: str,
    view: _View,
    file: BinaryIO,
) -> int:
    """Where the raw bytes of the tensor's storage begin, once they were found to be all there."""
    storage = view.storage
    try:
        record = archive.getinfo(f"{prefix}data/{storage.key}")
    except KeyError:
        raise _damaged(path, f"the bytes of {name} are missing")
    if record.compress_type != zipfile.ZIP_STORED:
        raise PublishError(
            f"{path.name}: {name} is compressed. Save it with torch.save, which stores tensors as "
            f"they are."
        )
    if (
        record.file_size != storage.elements * WIDTH[storage.dtype]
        or view.elements_needed > storage.elements
    ):
        raise _damaged(
            path,
            f"{name} says {view.shape} of {storage.dtype}, its record has {record.file_size:,} "
            f"bytes",
        )
    file.seek(record.header_offset)
    # The local header has lengths of its own: torch pads there, so that the bytes are aligned.
    *_, name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return int(record.header_offset + LOCAL_HEADER.size + name_length + extra_length)


# ---- .safetensors: length, JSON, raw bytes -------------------------------------------------------


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file; its offsets must cover the file exactly."""
    return {name: place.tensor for name, place in places_in_safetensors(path).items()}


def places_in_safetensors(path: Path) -> dict[str, Place]:
    """Where the tensors of such a file lie in it. Raises PublishError."""
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else MAX_HEADER + 1
        if length > MAX_HEADER:
            raise _damaged(path, "it does not begin with the length of a header")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            spans = [_span(name, entry) for name, entry in header.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(path, f"its header is not safetensors ({error})") from error
    _check_cover(path, spans, path.stat().st_size - 8 - length)
    return {
        name: Place(
            path,
            Tensor(entry["dtype"], tuple(entry["shape"])),
            8 + length + entry["data_offsets"][0],
            _in_order(entry["shape"]),
        )
        for name, entry in header.items()
    }


def _in_order(shape: list[int]) -> tuple[int, ...]:
    """The strides of a tensor that lies row after row."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _span(name: str, entry: dict[str, Any]) -> tuple[int, int]:
    begin, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (begin, end, *entry["shape"])):
        raise ValueError(f"{name} has a shape or offsets that are not numbers")
    if end - begin != prod(entry["shape"]) * WIDTH[entry["dtype"]]:
        raise ValueError(f"{name} has a shape that does not fit its bytes")
    return begin, end


def _check_cover(path: Path, spans: list[tuple[int, int]], size: int) -> None:
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise _damaged(
                path, f"its tensors leave a hole or overlap at byte {min(begin, position):,}"
            )
        position = end
    if position != size:
        raise _damaged(
            path, f"its header promises {position:,} bytes of tensors, the file has {size:,}"
        )


def _damaged(path: Path, found: str) -> PublishError:
    return PublishError(
        f"{path.name} cannot be read as weights: {found}. Copy it again from its source, or save "
        f"it anew with torch.save."
    )
