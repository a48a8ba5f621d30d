"""Numbers of answers: exact, or not taken. Nothing is rounded, on a page or in JSON."""

import re
from decimal import Decimal
from typing import Any

MOST_DIGITS = 40
_TYPED = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)
_ZEROS = re.compile(r"[+-]?0[0-9]")


class NotExact(ValueError):
    """`code`: invalid, zeros or inexact."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def exact(value: Any) -> int | float:
    """What was typed, or sent as JSON, as a number of JSON. Raises NotExact.

    A float stands for the shortest decimal that makes it; a parser that read more digits leaves
    them in `written` (portal.parsers).
    """
    if isinstance(value, float):
        value = Decimal(getattr(value, "written", None) or repr(value))
        if not value.is_finite():
            raise NotExact("invalid")
    elif not isinstance(value, int):
        value = _typed(str(value).strip())
    return value if isinstance(value, int) and _fits(value) else _number(Decimal(value))


def _typed(text: str) -> Decimal:
    if not _TYPED.fullmatch(text):
        raise NotExact("invalid")
    if _ZEROS.match(text):
        raise NotExact("zeros")
    if len(text) > MOST_DIGITS + 2:
        raise NotExact("inexact")
    return Decimal(text)


def _fits(number: int) -> bool:
    if abs(number) >= 10**MOST_DIGITS:
        raise NotExact("inexact")
    return True


def _number(number: Decimal) -> int | float:
    if number.adjusted() >= MOST_DIGITS:
        raise NotExact("inexact")
    if number == number.to_integral_value():
        return int(number)
    if Decimal(repr(float(number))) != number:
        raise NotExact("inexact")
    return float(number)


def written(number: int | float) -> str:
    """With all its digits and without an exponent."""
    return format(Decimal(repr(number)), "f")
