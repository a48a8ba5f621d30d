"""Sizes for people, in decimal units, as disks and `curl` count."""

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


def exact(size: int) -> str:
    """`13500000000` → `13,500,000,000 bytes`."""
    return f"{size:,} bytes"
