"""Reading the table that says in which country a network is registered.

Two forms: the registries' own (`delegated-*-extended`: `ripencc|NL|ipv4|193.0.0.0|256|…`), and a CSV with a network,
or two addresses, and a country code a line (`203.0.113.0/24,NL` or `203.0.113.0,203.0.113.255,NL`).
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import IO

from distribution.networks import sortable

LONGEST_LINE = 10_000  # characters; a line of such a table has fewer than a hundred


class Unreadable(Exception):
    """The file is not what it should be; the text says what is wrong, for a person."""


@dataclass(frozen=True)
class Range:
    """Both ends belong to it; 32 hex digits each."""

    first: str
    last: str
    country: str


def read(stream: IO[bytes]) -> Iterator[Range]:
    """Each range whose country is known. Raises Unreadable naming the line."""
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    number = 0
    try:
        for number, line in enumerate(iter(partial(text.readline, LONGEST_LINE), ""), 1):
            if len(line) == LONGEST_LINE:
                raise Unreadable(f"Line {number} is longer than {LONGEST_LINE:,} characters.")
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            found = _registry(line) if "|" in line else _csv(line, number)
            if found:
                yield found
    except UnicodeDecodeError:
        raise Unreadable("The file is not written in UTF-8.") from None
    except (ValueError, IndexError) as error:
        raise Unreadable(f"Line {number}: {error}.") from None
    finally:
        text.detach()


def _registry(line: str) -> Range | None:
    fields = line.split("|")
    if len(fields) < 7 or fields[2] not in ("ipv4", "ipv6") or len(fields[1]) != 2:
        return None  # the head, sums, numbers of autonomous systems, and what is in no country
    start = ip_address(fields[3])
    if fields[2] == "ipv4":
        return _range(start, IPv4Address(int(start) + int(fields[4]) - 1), fields[1])
    return _range(start, ip_network(f"{start}/{fields[4]}")[-1], fields[1])


def _csv(line: str, number: int) -> Range | None:
    fields = [field.strip() for field in next(csv.reader([line]))]
    if number == 1 and not fields[0][:1].isdigit() and ":" not in fields[0]:
        return None  # names of columns
    country = fields[-1].upper()
    if len(country) != 2 or not country.isalpha():
        raise ValueError(f"{fields[-1]!r} is no country code of two letters")
    if "/" in fields[0]:
        network = ip_network(fields[0], strict=False)
        return _range(network[0], network[-1], country)
    return _range(ip_address(fields[0]), ip_address(fields[1]), country)


def _range(
    first: IPv4Address | IPv6Address, last: IPv4Address | IPv6Address, country: str
) -> Range:
    if first.version != last.version or int(last) < int(first):
        raise ValueError(f"{first} to {last} is no range")
    return Range(sortable(first), sortable(last), country.upper())
