"""Sizes for people, in decimal units, as disks and `curl` count."""

import re
from decimal import Decimal

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def human(size: int) -> str:
    """`13500000000` → `13.5 GB`."""
    value = float(size)
    for unit in UNITS:
        # 999.95 would be shown as "1000.0"
        if value < 999.95 or unit == UNITS[-1]:
            return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable: the last unit returns")


def parsed(text: str) -> int:
    """`13.5 GB` → `13500000000`; a number alone is bytes. Raises ValueError."""
    found = re.fullmatch(
        r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*(bytes?|kB|MB|GB|TB|PB)?\s*", text, re.IGNORECASE
    )
    if found is None:
        raise ValueError(f"{text!r} is no size such as 130 GB")
    unit = (found[2] or "bytes").lower().removesuffix("s").replace("byte", "bytes")
    return int(Decimal(found[1]) * 1000 ** [one.lower() for one in UNITS].index(unit))


def exact(size: int) -> str:
    """`13500000000` → `13,500,000,000 bytes`."""
    return f"{size:,} bytes"
