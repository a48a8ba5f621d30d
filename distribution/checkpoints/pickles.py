"""Pickles, interpreted without calling anything.

A pickle is a program for a small stack machine. `Machine` runs it on values of its own: it knows every
opcode that only builds plain data, and stops at the first one that would import or call something.
"""

import re
import struct
from collections.abc import Callable, Container, Iterator
from mmap import mmap
from typing import Any, NamedTuple

LONGEST = 64 * 1024  # bytes of a text or number that is looked at; a longer one is only skipped
MOST_STEPS = 300_000  # opcodes of a pickle in an unknown file; more than that is no accident
MOST_PICKLES = 100  # one behind the other
NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")  # what an import statement takes

# opcode → bytes of its argument
FIXED = dict(
    zip(b"KMJGhjqr\x82\x83\x84\x80\x95", (1, 2, 4, 8, 1, 4, 1, 4, 1, 2, 4, 1, 8), strict=True)
)
# opcode → bytes of the length in front of its argument
COUNTED = dict(
    zip(b"UC\x8c\x8aTBX\x8b\x8d\x8e\x96", (1, 1, 1, 1, 4, 4, 4, 4, 8, 8, 8), strict=True)
)
# opcode → lines of its argument
LINES = dict(zip(b"ILFSVgpPci", (1, 1, 1, 1, 1, 1, 1, 1, 2, 2), strict=True))


class MalformedPickle(Exception):
    """No unpickler reads this to its end."""


class UnclearPickle(MalformedPickle):
    """It is too long to follow, or unpicklers differ in what they read."""


class ImportFound(Exception):
    """The pickle imports something, which could run code."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"{module}.{name}")
        self.is_name = bool(NAME.fullmatch(module) and NAME.fullmatch(name))


class Global(NamedTuple):
    """Something that a pickle may import; nothing here ever imports or calls it."""

    module: str
    name: str


class OrderedTable(dict[Any, Any]):
    """In place of collections.OrderedDict."""


class _Opaque:
    """A value that nothing is done with: bytes, sets, and what is too long to look at."""


_MARK = _Opaque()


class Machine:
    """One pickle of `data`, from byte `at` on; afterwards `at` is the byte behind it.

    allowed: what it may import. reduce, storage: the value of a call and of a persistent id; they raise
    ValueError for one that they do not know.
    """

    def __init__(
        self,
        data: bytes | mmap,
        at: int = 0,
        *,
        allowed: Container[Global] = (),
        reduce: Callable[[Global, tuple[Any, ...]], Any] | None = None,
        storage: Callable[[Any], Any] | None = None,
        most: int = MOST_STEPS,
    ) -> None:
        self.data, self.at, self.left = data, at, most
        self.allowed, self.reduce, self.storage = allowed, reduce, storage
        # Without calls we only look for an import, and rather go on where an unpickler would stop.
        self.is_strict = reduce is not None
        self.frame_end = at
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value that the pickle builds. Raises ImportFound and MalformedPickle."""
        try:
            while (step := self._step()) != ord("."):
                self._do(step, self._argument(step))
            return self._pop()
        except (ValueError, struct.error, OverflowError, RecursionError) as error:
            raise MalformedPickle(str(error)) from error

    def _step(self) -> int:
        self.left -= 1
        if self.left < 0:
            raise UnclearPickle("it has too many steps")
        if self.at >= len(self.data):
            raise MalformedPickle("its end is missing")
        self.at += 1
        return self.data[self.at - 1]

    def _argument(self, step: int) -> bytes:
        """Of one that is longer than LONGEST the beginning."""
        if step in FIXED:
            return self._take(FIXED[step])
        if step in COUNTED:
            return self._take(int.from_bytes(self._take(COUNTED[step]), "little"))
        return b"\n".join(self._line() for _ in range(LINES.get(step, 0)))

    def _take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > len(self.data):
            raise MalformedPickle("its end is missing")
        self._check_frame(start)
        return self.data[start : start + min(count, LONGEST)]

    def _line(self) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise MalformedPickle("its end is missing")
        start, line = self.at, self._take(end - self.at)
        self.at += 1
        self._check_frame(start)
        return line

    def _begin_frame(self, length: int) -> None:
        start, end = self.at, self.at + length
        if end > len(self.data):
            raise MalformedPickle("its end is missing")
        if start < self.frame_end < end:
            raise UnclearPickle("its frames overlap")
        self.frame_end = max(end, self.frame_end)

    def _check_frame(self, start: int) -> None:
        """The unpickler in C leaves out what is left of a frame that does not hold a whole argument."""
        if start < self.frame_end < self.at:
            raise UnclearPickle("a frame ends within an argument")

    def _do(self, step: int, argument: bytes) -> None:
        code = bytes([step])
        if code in CONSTANTS:
            self.stack.append(CONSTANTS[code](argument))
        elif code in NUMBERED:
            self._remember_or_recall(code, argument)
        elif code in BUILDERS:
            BUILDERS[code](self)
        elif code == b"c":
            self._import(*argument.decode().split("\n"))
        elif code == b"i":
            self._pop_to_mark()
            raise ImportFound(*argument.decode().split("\n"))
        elif code == b"\x95":
            self._begin_frame(int.from_bytes(argument, "little"))
        elif code == b"\x80" and argument[0] > 5:
            raise MalformedPickle(f"it is of protocol {argument[0]}")
        elif code != b"\x80":
            raise MalformedPickle(f"opcode {step:#04x} is not one of plain data")

    def _import(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise MalformedPickle("an import without a name")
        if Global(module, name) not in self.allowed:
            raise ImportFound(module, name)
        self.stack.append(Global(module, name))

    def _remember_or_recall(self, code: bytes, argument: bytes) -> None:
        number = int(argument) if code in b"gp" else int.from_bytes(argument, "little")
        if code == b"\x94":
            number = len(self.memo)
        if code in b"pqr\x94":
            self.memo[number] = self._top()
        elif number not in self.memo:
            raise MalformedPickle(f"memo {number} is empty")
        else:
            self.stack.append(self.memo[number])

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise MalformedPickle("its stack is empty")
        return self.stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        del self.stack[-1]
        return value

    def _pop_to_mark(self) -> list[Any]:
        values: list[Any] = []
        while self.stack:
            if (value := self.stack.pop()) is _MARK:
                return values[::-1]
            values.append(value)
        raise MalformedPickle("a mark is missing")

    def _push_tuple(self, count: int) -> None:
        self.stack.append(tuple(self._pop() for _ in range(count))[::-1])

    def _drop_to_mark(self) -> None:
        self._pop_to_mark()

    def _add_to_set(self) -> None:
        self._pop_to_mark()
        self._top()

    def _push_set(self) -> None:
        self._pop_to_mark()
        self.stack.append(_Opaque())

    def _drop(self) -> None:
        if not self.stack:
            raise MalformedPickle("its stack is empty")
        del self.stack[-1]  # a mark, too

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self._top(), list):
            self._top().extend(values)
        elif self.is_strict:  # otherwise perhaps a bytearray, which has items too
            raise MalformedPickle("items of something that is no list")

    def _set_items(self, pairs: list[Any]) -> None:
        table = self._top()
        if len(pairs) % 2:
            raise MalformedPickle("a key without a value")
        if not isinstance(table, dict):
            if self.is_strict:  # otherwise perhaps a list, which has numbered items
                raise MalformedPickle("items of something that is no table")
            return
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # A tuple may take for ever to hash: it becomes a key that nobody can name.
            table[key if isinstance(key, str | int | float) else _Opaque()] = value

    def _table_of_mark(self) -> None:
        pairs = self._pop_to_mark()
        self.stack.append({})
        self._set_items(pairs)

    def _set_state(self) -> None:
        """Nothing has a state but a state_dict, which has the versions of its modules. An empty state does nothing."""
        state = self._pop()
        if not (
            (not self.is_strict and self._top() is not _MARK)
            or (
                isinstance(self._top(), OrderedTable)
                and isinstance(state, dict)
                and state.keys() <= {"_metadata"}
            )
        ):
            raise MalformedPickle("it sets attributes")

    def _call(self) -> None:
        arguments, function = self._pop(), self._pop()
        if self.reduce is None or not isinstance(function, Global) or type(arguments) is not tuple:
            raise MalformedPickle("it calls something that cannot be called")
        self.stack.append(self.reduce(function, arguments))

    def _persistent(self) -> None:
        if self.storage is None:
            raise MalformedPickle("it refers to something outside")
        self.stack.append(self.storage(self._pop()))

    def _named_by_stack(self) -> None:
        name, module = self._pop(), self._pop()
        self._import(module, name)


def _text(encoding: str) -> Callable[[bytes], str]:
    return lambda value: value.decode(encoding, "replace")


def _quoted(value: bytes) -> str:
    if len(value) == LONGEST:  # it is only the beginning
        return ""
    value = value.strip()
    if len(value) < 2 or value[0] != value[-1] or value[:1] not in b"\"'":
        raise ValueError("a text without quotes")
    return value[1:-1].decode("unicode_escape", "replace")


def _little(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _signed(value: bytes) -> int:
    return int.from_bytes(value, "little", signed=True)


def _decimal(value: bytes) -> int | bool:
    if len(value) == LONGEST:  # it is only the beginning
        return 0
    return value == b"01" if value in (b"00", b"01") else int(value.removesuffix(b"L"), 0)


def _c_number(value: bytes) -> int | bool:
    """As strtol reads it, which also takes octal numbers and none at all."""
    if match := re.fullmatch(rb"\s*[+-]?(0[0-7]*|)", value):
        return int(match[1] or b"0", 8)
    return _decimal(value)


def _float(value: bytes) -> float:
    return 0.0 if len(value) == LONGEST else float(value)


def _opaque(_: bytes) -> _Opaque:
    return _Opaque()


CONSTANTS: dict[bytes, Callable[[bytes], Any]] = {
    b"N": lambda _: None,
    b"\x88": lambda _: True,
    b"\x89": lambda _: False,
    b"]": lambda _: [],
    b"}": lambda _: {},
    b")": lambda _: (),
    b"(": lambda _: _MARK,
    b"F": _float,
    b"G": lambda value: struct.unpack(">d", value)[0],
    b"S": _quoted,
    b"I": _c_number,
    b"L": _decimal,
    **dict.fromkeys((b"K", b"M"), _little),
    **dict.fromkeys((b"J", b"\x8a", b"\x8b"), _signed),
    **dict.fromkeys((b"U", b"T"), _text("latin-1")),
    **dict.fromkeys((b"X", b"\x8c", b"\x8d"), _text("utf-8")),
    b"V": _text("raw-unicode-escape"),
    **dict.fromkeys((b"C", b"B", b"\x8e", b"\x96", b"\x8f"), _opaque),
}
NUMBERED = frozenset({b"g", b"h", b"j", b"p", b"q", b"r", b"\x94"})
BUILDERS: dict[bytes, Callable[[Machine], None]] = {
    b"0": Machine._drop,
    b"1": Machine._drop_to_mark,
    b"2": lambda machine: machine.stack.append(machine._top()),
    b"t": lambda machine: machine.stack.append(tuple(machine._pop_to_mark())),
    b"l": lambda machine: machine.stack.append(machine._pop_to_mark()),
    b"d": Machine._table_of_mark,
    b"\x85": lambda machine: machine._push_tuple(1),
    b"\x86": lambda machine: machine._push_tuple(2),
    b"\x87": lambda machine: machine._push_tuple(3),
    b"a": lambda machine: machine._extend([machine._pop()]),
    b"e": lambda machine: machine._extend(machine._pop_to_mark()),
    b"s": lambda machine: machine._set_items([machine._pop(), machine._pop()][::-1]),
    b"u": lambda machine: machine._set_items(machine._pop_to_mark()),
    b"\x90": Machine._add_to_set,
    b"\x91": Machine._push_set,
    b"b": Machine._set_state,
    b"R": Machine._call,
    b"Q": Machine._persistent,
    b"\x93": Machine._named_by_stack,
}


def pickles_in(data: bytes | mmap) -> Iterator[Any]:
    """The values of the pickles that lie one behind the other from the first byte on, as a program gets them
    that unpickles a file of an unknown kind. Raises ImportFound and UnclearPickle.
    """
    at = 0
    for _ in range(MOST_PICKLES):
        machine = Machine(data, at)
        try:
            yield machine.run()
        except UnclearPickle:
            raise
        except MalformedPickle:
            return
        except ImportFound as found:
            if found.is_name:
                raise
            return
        at = machine.at
    raise UnclearPickle("it is a row of pickles")
