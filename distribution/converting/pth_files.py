"""Writing `consolidated.NN.pth` as `torch.save` does: a zip of one pickle and raw records.

The pickle is written opcode by opcode. It names three things of torch, as a table of tensors must,
and nothing else.
"""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from distribution.checkpoints.headers import STORAGES, WIDTH
from distribution.converting.made import Made
from distribution.converting.tensors import Whole

ALIGNED = 64  # bytes; torch maps records into memory, and wants them aligned
STORAGE_OF = {dtype: name for name, dtype in STORAGES.items()}
EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip has times; the same tensors shall give the same file
LARGE = 2**31  # bytes, from which on a record has lengths of 64 bits


@dataclass(frozen=True)
class Part:
    """What one rank has of a tensor: some of its rows or of its columns, or all of it."""

    tensor: Whole
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, ...]:
        spans = (self.rows, self.columns)
        return tuple(
            len(range(*span.indices(n))) for n, span in zip(self.tensor.shape, spans, strict=False)
        )

    @property
    def size(self) -> int:
        return prod(self.shape) * WIDTH[self.tensor.dtype]

    def blocks(self) -> Iterator[bytes]:
        return self.tensor.blocks(self.rows, self.columns)


def part(tensor: Whole, dim: int | None, rank: int, ranks: int) -> Part:
    """The part of a rank, where the ranks share out dimension `dim`."""
    if dim is None:
        return Part(tensor, slice(None), slice(None))
    each = tensor.shape[dim] // ranks
    span = slice(rank * each, (rank + 1) * each)
    return Part(tensor, span, slice(None)) if dim == 0 else Part(tensor, slice(None), span)


def file(name: str, parts: Mapping[str, Part]) -> Made:
    size = sum(part.size for part in parts.values())
    return Made(name, size, lambda target: _write(target, parts))


def _write(target: Path, parts: Mapping[str, Part]) -> None:
    folder = "consolidated"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        _record(archive, f"{folder}/data.pkl", iter([_pickle(parts)]))
        _record(archive, f"{folder}/byteorder", iter([b"little"]))
        for key, part in enumerate(parts.values()):
            _record(archive, f"{folder}/data/{key}", part.blocks(), part.size)
        _record(archive, f"{folder}/version", iter([b"3\n"]))


def _record(archive: zipfile.ZipFile, name: str, content: Iterator[bytes], size: int = 0) -> None:
    info, large = zipfile.ZipInfo(name, EARLIEST), size >= LARGE
    assert archive.fp is not None
    header = 30 + len(name.encode()) + (20 if large else 0) + 4
    padding = -(archive.fp.tell() + header) % ALIGNED
    info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding  # as torch pads
    with archive.open(info, "w", force_zip64=large) as out:
        for block in content:
            out.write(block)


def _pickle(parts: Mapping[str, Part]) -> bytes:
    items = b"".join(
        _text(name) + _tensor(key, part) for key, (name, part) in enumerate(parts.items())
    )
    return b"\x80\x02}(" + items + b"u."  # protocol 2, a dict, its items, the end


def _tensor(key: int, part: Part) -> bytes:
    """`_rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks)`."""
    elements, shape = prod(part.shape), part.shape
    storage = _tuple(
        _text("storage"),
        _global("torch", STORAGE_OF[part.tensor.dtype]),
        _text(str(key)),
        _text("cpu"),
        _number(elements),
    )
    stride = (prod(shape[axis + 1 :]) for axis in range(len(shape)))
    arguments = _tuple(
        storage + b"Q",  # a persistent id: the record of that key
        _number(0),
        _tuple(*map(_number, shape)),
        _tuple(*map(_number, stride)),
        b"\x89",  # False
        _global("collections", "OrderedDict") + b")R",
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _number(value: int) -> bytes:
    if value < 2**31:
        return b"J" + struct.pack("<i", value)
    content = value.to_bytes(8, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content
