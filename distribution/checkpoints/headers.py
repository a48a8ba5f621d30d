"""Names, types and shapes of the tensors in a file: of `.safetensors` headers and `.pth` pickles.

Memory is bounded by the header, never by the weights. A pickle is a program; nothing of it is run: the
few names that a plain checkpoint needs are known here BY NAME, and any other name ends the reading.
"""

import json
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from distribution.checkpoints.pickles import (
    Global,
    ImportFound,
    Machine,
    MalformedPickle,
    OrderedTable,
)
from distribution.checkpoints.torch_archives import (
    CutShort,
    HoldsCode,
    Member,
    NotAnArchive,
    content_of,
    members_of,
)
from distribution.errors import PublishError

MAX_HEADER = 64 * 1024 * 1024  # bytes; the 65B release needs under one

# dtype → bits of one element; in safetensors' words, but for C128, which only torch has
BITS = {
    **{"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64, "C128": 128},
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **{"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4},
    **{"I64": 64, "I32": 32, "I16": 16, "I8": 8, "BOOL": 8},
    **{"U64": 64, "U32": 32, "U16": 16, "U8": 8},
}
# The same in bytes, where an element has whole ones.
WIDTH = {dtype: bits // 8 for dtype, bits in BITS.items() if bits >= 8}
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
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
}
# Types that have no storage of their own: torch names them beside one of bytes.
TYPES = {
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
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
    return read_safetensors(path) if path.suffix.lower() == ".safetensors" else read_pth(path)


# ---- .pth: a zip of one pickle and one raw record for each storage -------------------------------


class _Storage(NamedTuple):
    dtype: str
    key: str
    elements: int


class _View(NamedTuple):
    """A tensor as the pickle builds it: a window on a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str

    @property
    def elements_needed(self) -> int:
        if 0 in self.shape:
            return 0
        return (
            self.offset
            + 1
            + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        )


ORDERED_DICT = Global("collections", "OrderedDict")
REBUILD_TENSOR = Global("torch._utils", "_rebuild_tensor_v2")
REBUILD_TYPED = Global("torch._utils", "_rebuild_tensor_v3")
REBUILD_PARAMETER = Global("torch._utils", "_rebuild_parameter")
UNTYPED = Global("torch.storage", "UntypedStorage")
STORAGE_TYPES = {Global("torch", name): dtype for name, dtype in STORAGES.items()} | {UNTYPED: "U8"}
TENSOR_TYPES = {Global("torch", name): dtype for name, dtype in TYPES.items()}
CALLS = frozenset({ORDERED_DICT, REBUILD_TENSOR, REBUILD_TYPED, REBUILD_PARAMETER})
ALLOWED = CALLS | STORAGE_TYPES.keys() | TENSOR_TYPES.keys()


def _reduce(function: Global, arguments: tuple[Any, ...]) -> Any:
    """The few calls that a table of tensors needs."""
    if function == REBUILD_TENSOR:
        return _rebuild(*arguments)
    if function == REBUILD_TYPED:
        return _rebuild_typed(*arguments)
    if function == REBUILD_PARAMETER:
        return _parameter(*arguments)
    if function == ORDERED_DICT and not arguments:
        return OrderedTable()
    raise ValueError(f"it calls {function.name} in an unknown way")


def _rebuild(*arguments: Any) -> _View:
    """In place of torch._utils._rebuild_tensor_v2."""
    if len(arguments) != 6 or type(arguments[4]) is not bool or arguments[5] != OrderedTable():
        raise ValueError("a tensor has hooks or metadata")
    storage, offset, shape, stride, _, _ = arguments
    if type(shape) is not tuple or type(stride) is not tuple or len(shape) != len(stride):
        raise ValueError("a tensor has a shape and strides of different lengths")
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("a tensor is described by something else than a storage and numbers")
    return _View(storage, offset, shape, stride, storage.dtype)


def _rebuild_typed(*arguments: Any) -> _View:
    """In place of torch._utils._rebuild_tensor_v3, which is told the type."""
    *described, dtype = arguments
    if not isinstance(dtype, Global) or dtype not in TENSOR_TYPES:
        raise ValueError("a tensor has an unknown type")
    view = _rebuild(*described)
    if view.storage.dtype != "U8":
        raise ValueError("a tensor has two types")
    return view._replace(dtype=TENSOR_TYPES[dtype])


def _parameter(*arguments: Any) -> _View:
    """In place of torch._utils._rebuild_parameter: the tensor alone."""
    if len(arguments) != 3 or type(arguments[1]) is not bool or arguments[2] != OrderedTable():
        raise ValueError("a parameter has hooks")
    if not isinstance(arguments[0], _View):
        raise ValueError("a parameter is no tensor")
    return arguments[0]


@dataclass
class _Storages:
    """The storages that a pickle names, by their key."""

    by_key: dict[str, _Storage]

    def named(self, pid: Any) -> _Storage:
        if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage":
            raise ValueError("a storage is described in an unknown way")
        _, kind, key, location, elements = pid
        if not (
            isinstance(kind, Global)
            and kind in STORAGE_TYPES
            and isinstance(key, str)
            and isinstance(location, str)
            and type(elements) is int
        ):
            raise ValueError("a storage is described in an unknown way")
        storage = _Storage(STORAGE_TYPES[kind], key, elements)
        if self.by_key.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key} is described in two ways")
        return storage


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a file written by `torch.save`, in the zip form (torch 1.6 and later)."""
    return {name: Tensor(view.dtype, view.shape) for name, (view, _) in _views(path).items()}


def places_in_pth(path: Path) -> dict[str, Place]:
    """Where the tensors of such a file lie in it. Raises PublishError."""
    return {
        name: Place(
            path,
            Tensor(view.dtype, view.shape),
            record + view.offset * WIDTH[view.dtype],
            view.stride,
        )
        for name, (view, record) in _views(path).items()
    }


def _views(path: Path) -> dict[str, tuple[_View, int]]:
    """Each tensor, and the byte of the file at which its storage begins."""
    try:
        with path.open("rb") as file:
            records = members_of(file)
            _check_notes(file, records)
            views, storages = _unpickle(path, file, records["data.pkl"])
    except CutShort as error:
        raise PublishError(
            f"{path.name} is cut short: its end is missing. Compare its size with its source's, copy it "
            f"again, then publish again."
        ) from error
    except HoldsCode as error:
        raise PublishError(
            f"{path.name} is refused: weights only. It is a TorchScript archive, which holds code. Save the "
            f"model's state_dict with torch.save, then publish again."
        ) from error
    except (NotAnArchive, OSError) as error:
        raise _damaged(path, f"{error}") from error
    used = {f"data/{key}" for key in storages}
    if unused := sorted(name for name in records.keys() - used if name.startswith("data/")):
        raise _damaged(path, f"no tensor uses its record {unused[0]}")
    return {name: (view, _record(path, records, name, view)) for name, view in views.items()}


def _check_notes(file: BinaryIO, records: dict[str, Member]) -> None:
    """What stands beside pickle and tensors: versions, and the order of bytes, which ours must be too."""
    for name, member in records.items():
        if name == "data.pkl" or name.startswith("data/"):
            continue
        expected = rb"little" if name == "byteorder" else rb"\d{1,40}\n?"
        if member.size > 41 or not re.fullmatch(expected, content_of(file, member)):
            raise NotAnArchive(f"its record {name} is not as torch.save writes it")


def _unpickle(
    path: Path, file: BinaryIO, member: Member
) -> tuple[dict[str, _View], dict[str, _Storage]]:
    if member.size > MAX_HEADER:
        raise PublishError(
            f"{path.name}: its data.pkl has {member.size:,} bytes; at most {MAX_HEADER:,} are read."
        )
    content, storages = content_of(file, member), _Storages({})
    machine = Machine(
        content, allowed=ALLOWED, reduce=_reduce, storage=storages.named, most=len(content)
    )
    try:
        table = machine.run()
    except ImportFound as error:
        raise PublishError(
            f"{path.name} is refused: weights only. Its pickle asks for `{error}`, which could run code "
            "when the file is loaded. Save a plain table of tensors with torch.save(state_dict), then "
            "publish again."
        ) from error
    except MalformedPickle as error:
        raise _damaged(path, f"its pickle is not that of a table of tensors: {error}") from error
    if machine.at != len(content):
        raise _damaged(path, "its pickle has bytes behind its end")
    if not isinstance(table, dict):
        raise PublishError(
            f"{path.name} holds a {type(table).__name__}; expected a table of named tensors. Save the "
            "model's state_dict, then publish again."
        )
    for name, value in table.items():
        if not isinstance(name, str) or not isinstance(value, _View):
            raise PublishError(
                f"{path.name} is refused: weights only. Its entry {str(name)[:80]!r} is a "
                f"{type(value).__name__}, "
                "not a tensor. Save the model's state_dict alone, then publish again."
            )
    return table, storages.by_key


def _record(path: Path, records: dict[str, Member], name: str, view: _View) -> int:
    """Where the raw bytes of the tensor's storage begin, once they were found to be all there."""
    storage = view.storage
    record = records.get(f"data/{storage.key}")
    if record is None:
        raise _damaged(path, f"the bytes of {name} are missing")
    if (
        record.size != storage.elements * WIDTH[storage.dtype]
        or view.elements_needed * WIDTH[view.dtype] > record.size
    ):
        raise _damaged(
            path,
            f"{name} says {view.shape} of {view.dtype}, its record has {record.size:,} bytes",
        )
    return record.start


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
            header = _safetensors_header(file.read(length), length)
            spans = [_span(name, entry) for name, entry in header.items()]
        except EOFError:
            raise _cut_short(path, 8 + length) from None
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


def _safetensors_header(content: bytes, length: int) -> dict[str, Any]:
    """Tensors by name. Only what all readers understand alike: UTF-8, each name once, no more than is known."""
    if len(content) != length:
        raise EOFError
    if content[:1] != b"{":
        raise ValueError("it does not begin with {")
    header = json.loads(content.decode(), object_pairs_hook=_without_repeats)
    metadata = header.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not texts")
    return dict(header)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, _ in pairs:
        name.encode()  # half of a surrogate pair is no text elsewhere
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("it has a name twice")
    return table


def _span(name: str, entry: dict[str, Any]) -> tuple[int, int]:
    if entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} is described in an unknown way")
    begin, end = entry["data_offsets"]
    numbers = (begin, end, *entry["shape"])
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError(f"{name} has a shape or offsets that are not numbers")
    if entry["dtype"] not in BITS:
        raise ValueError(f"{name} has the type {str(entry['dtype'])[:20]}, which is unknown here")
    if (end - begin) * 8 != prod(entry["shape"]) * BITS[entry["dtype"]]:
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
    if position > size:
        raise _cut_short(path, path.stat().st_size - size + position)
    if position < size:
        raise _damaged(
            path, f"its header promises {position:,} bytes of tensors, the file has {size:,}"
        )


def _cut_short(path: Path, expected: int) -> PublishError:
    return PublishError(
        f"{path.name} is cut short: it has {path.stat().st_size:,} bytes, and its header promises "
        f"{expected:,}. Copy it again from its source, then publish again."
    )


def _damaged(path: Path, found: str) -> PublishError:
    return PublishError(
        f"{path.name} cannot be read as weights: {found}. Copy it again from its source, or save "
        f"it again with torch.save, then publish again."
    )
