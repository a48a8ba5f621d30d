"""One tensor of a model, wherever its parts lie, read a block of rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distribution.checkpoints.headers import WIDTH, Place

BLOCK = 4 * 1024 * 1024  # bytes of a tensor in memory at once, about, for each thread
Rows = NDArray[np.intp]
# Elements are moved, never computed with: numpy knows no bfloat16, and need not.
ELEMENTS: dict[int, np.dtype[Any]] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}


@dataclass(frozen=True)
class Whole:
    """A tensor of the model, seen as one table, although its parts lie in several files.

    parts: in the order of the ranks. dim: the dimension that they share out; None: each is whole.
    order: which row of the parts is row 0, 1, 2 … here; None: as they come.
    """

    parts: tuple[Place, ...]
    dim: int | None
    order: Rows | None = None

    @property
    def dtype(self) -> str:
        return self.parts[0].tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        shape = list(self.parts[0].tensor.shape)
        if self.dim is not None:
            shape[self.dim] = sum(part.tensor.shape[self.dim] for part in self.parts)
        return tuple(shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * WIDTH[self.dtype]

    def blocks(self, rows: slice = slice(None), columns: slice = slice(None)) -> Iterator[bytes]:
        """The bytes of these rows and columns, in order, about BLOCK at a time."""
        first, last, _ = rows.indices(self.shape[0])
        width = self.size // max(1, self.shape[0])  # bytes of one row
        step = max(1, BLOCK // max(1, width))
        for start in range(first, last, step):
            wanted = np.arange(start, min(start + step, last))
            if self.order is not None:
                wanted = self.order[wanted]
            yield np.ascontiguousarray(self._read(wanted)[:, columns]).tobytes()

    def _read(self, wanted: Rows) -> NDArray[Any]:
        """These rows, as a table of at least one column."""
        if self.dim is None:
            return _rows(self.parts[0], wanted)
        if self.dim == 1:
            return np.concatenate([_rows(part, wanted) for part in self.parts], axis=1)
        columns = prod(self.shape[1:])
        out = np.empty((len(wanted), columns), ELEMENTS[WIDTH[self.dtype]])
        before = 0
        for part in self.parts:
            own = part.tensor.shape[0]
            here = (wanted >= before) & (wanted < before + own)
            if here.any():
                out[here] = _rows(part, wanted[here] - before)
            before += own
        return out


def _rows(place: Place, wanted: Rows) -> NDArray[Any]:
    """These rows of one part. They are near each other, so what lies between is read as well."""
    shape, element = place.tensor.shape, ELEMENTS[WIDTH[place.tensor.dtype]]
    columns = prod(shape[1:])
    first, last = int(wanted.min()), int(wanted.max()) + 1
    if place.stride == tuple(prod(shape[axis + 1 :]) for axis in range(len(shape))):
        start = place.start + first * columns * element.itemsize
        count = (last - first) * columns
        block = np.fromfile(place.path, element, count, offset=start).reshape(-1, columns)
        return block[wanted - first]
    # Not row after row, a transposed view say: the kernel brings in what is touched.
    needed = 1 + sum((n - 1) * step for n, step in zip(shape, place.stride, strict=True))
    flat = np.memmap(place.path, element, "r", place.start, (needed,))
    steps = [step * element.itemsize for step in place.stride]
    view = np.lib.stride_tricks.as_strided(flat, shape, steps)
    return np.array(view[first:last]).reshape(-1, columns)[wanted - first]


def to_hugging_face(heads: int, dim: int) -> Rows:
    """The order of the rows of Q or K there, in terms of the original rows.

    The original rotates rows (2i, 2i + 1) of a head together, Hugging Face rows (i, i + D/2).
    heads: of Q, or of K. dim: rows of one head.
    """
    return _swapped(heads, dim // 2, 2)


def to_original(heads: int, dim: int) -> Rows:
    """The way back."""
    return _swapped(heads, 2, dim // 2)


def _swapped(heads: int, outer: int, inner: int) -> Rows:
    rows = np.arange(heads * outer * inner).reshape(heads, outer, inner)
    return np.ascontiguousarray(rows.transpose(0, 2, 1)).ravel()
