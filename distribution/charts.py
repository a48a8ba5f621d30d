"""Bars of a chart that the server draws: only where they stand and how tall they are; the template draws them."""

from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 720, 170  # of the drawing, in its own units
LEFT, BOTTOM, TOP = 64, 22, 10  # room for the labels
GAP = 0.25  # of a day's width


@dataclass(frozen=True)
class Bar:
    day: date
    size: int
    x: float
    y: float
    width: float
    height: float
    is_labelled: bool

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True)
class Chart:
    bars: list[Bar]
    most: int  # bytes of the tallest bar
    total: int

    width, height, left, top = WIDTH, HEIGHT, LEFT, TOP
    floor = HEIGHT - BOTTOM


def of_days(days: list[tuple[date, int]], *, labels: int = 6) -> Chart:
    """One bar a day; about `labels` of them get their date below, the last one always."""
    most = max((size for _, size in days), default=0)
    step = (WIDTH - LEFT) / max(1, len(days))
    every = max(1, len(days) // labels)
    full = HEIGHT - BOTTOM - TOP
    bars = []
    for number, (day, size) in enumerate(days):
        # A day on which something left is never drawn as none.
        height = max(1.0, full * size / most) if size else 0.0
        bars.append(
            Bar(
                day,
                size,
                round(LEFT + number * step, 1),
                round(HEIGHT - BOTTOM - height, 1),
                round(step * (1 - GAP), 1),
                round(height, 1),
                (len(days) - 1 - number) % every == 0,
            )
        )
    return Chart(bars, most, sum(size for _, size in days))
