"""How many sequences the device has room for: measured at the start, not guessed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

FRACTION = 0.8  # of what is free; the rest is for activations and for whoever else lives there


class NoRoom(RuntimeError):
    """Not even one sequence fits beside the weights."""


@dataclass(frozen=True)
class Room:
    rows: int
    length: int  # tokens of each


def free_bytes(device: torch.device) -> int:
    """Memory that nobody uses now, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = dict(line.split(":", 1) for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # no Linux: take what was asked for
        return 1 << 62


def room(
    *, free: int, bytes_of_token: int, rows: int, length: int, least: int, shortest: int = 256
) -> Room:
    """As many of the `rows` sequences of `length` tokens as `free` bytes hold, at least `least`.

    Where `least` do not fit, they become shorter, down to `shortest` tokens. Raises NoRoom.
    """
    budget = int(free * FRACTION)
    fitting = budget // (bytes_of_token * length)
    if fitting >= least:
        return Room(min(rows, fitting), length)
    shortened = budget // (bytes_of_token * least) // 64 * 64
    if shortened < min(shortest, length):
        raise NoRoom(
            f"{free / 2**30:.1f} GiB are free beside the weights, and {least} sequences of "
            f"{shortest} tokens need {bytes_of_token * least * shortest / FRACTION / 2**30:.1f}. "
            "Take a device with more memory, WEIGHBRIDGE_DTYPE=int8, or a smaller WEIGHBRIDGE_BATCH."
        )
    return Room(least, shortened)
