"""Whether a `.gguf` file is whole: its header is walked, and its tensors must end where the file does or before."""

import struct
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path

from distribution.errors import PublishError

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
# Type of a value → its bytes.
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
ALIGNMENT = "general.alignment"
MOST_DIMENSIONS = 8


@cache
def _blocks() -> dict[int, tuple[int, int]]:
    """Type of a tensor → elements of a block and its bytes. A type that is newer than the library is taken as it is."""
    from gguf.constants import GGML_QUANT_SIZES  # only who publishes needs the library

    return {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


def check_gguf(path: Path) -> None:
    """Raise PublishError for a file that is no GGUF, or that is cut short."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content[:4] != MAGIC:
            raise PublishError(f"{path.name} is no GGUF file. Copy it again from its source.")
        try:
            needed = _Walk(content).end()
        except (struct.error, IndexError):
            needed = len(content) + 1
        except ValueError as error:
            raise PublishError(
                f"{path.name} cannot be read as GGUF: {error}. Copy it again from its source."
            ) from error
        if needed > len(content):
            raise PublishError(
                f"{path.name} is cut short: it ends before its tensors do. Compare its size with its source's, "
                f"copy it again, then publish again."
            )


class _Walk:
    """A position in the header, which moves on with each value that is read."""

    def __init__(self, content: mmap) -> None:
        self.content, self.at, self.alignment = content, 4, 32
        little = struct.unpack_from("<I", content, 4)[0]
        self.order = "<" if little & 0xFFFF else ">"  # some are written for big-endian machines
        if (version := self._number("I")) not in (2, 3):
            raise ValueError(f"it is of version {version}")

    def end(self) -> int:
        """The byte behind the last tensor."""
        tensors, values = self._number("Q"), self._number("Q")
        for _ in range(values):
            self._pair()
        ends = [self._tensor() for _ in range(tensors)]
        start = -(-self.at // self.alignment) * self.alignment
        return max((start + end for end in ends if end), default=self.at)

    def _number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"{self.order}{form}", self.content, self.at)
        self._skip(struct.calcsize(form))
        return int(value)

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.content):
            raise IndexError("the file ends before")

    def _text(self) -> bytes:
        length, start = self._number("Q"), self.at
        self._skip(length)
        return self.content[start : self.at] if length <= 64 else b""

    def _pair(self) -> None:
        name, kind = self._text(), self._number("I")
        if name == ALIGNMENT.encode() and kind == 4:
            self.alignment = max(1, self._number("I"))
        else:
            self._value(kind)

    def _value(self, kind: int) -> None:
        if kind == STRING:
            self._text()
        elif kind == ARRAY:
            inner, count = self._number("I"), self._number("Q")
            if inner in WIDTHS:
                self._skip(count * WIDTHS[inner])
                return
            if inner != STRING:
                raise ValueError(f"it has a list of type {inner}")
            for _ in range(count):
                self._text()
        elif kind in WIDTHS:
            self._skip(WIDTHS[kind])
        else:
            raise ValueError(f"it has a value of type {kind}")

    def _tensor(self) -> int:
        """Where its bytes end, counted from the first tensor's; of a type that is unknown, where they begin."""
        self._text()
        dimensions = self._number("I")
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"it has a tensor of {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self._number("Q")
        kind, offset = self._number("I"), self._number("Q")
        per_block, size = _blocks().get(kind, (1, 0))
        return offset + -(-elements // per_block) * size
