"""Which bytes of a file somebody had, so that a byte that is fetched again after a cut counts once.

Pieces are `[start, end]` lists, `end` not included, sorted, apart from each other: as JSON keeps them.
"""

from collections.abc import Iterable

Piece = list[int]


def union(pieces: Iterable[Piece]) -> list[Piece]:
    """The same bytes in as few pieces as can be, sorted."""
    merged: list[Piece] = []
    for start, end in sorted(pieces):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        elif start < end:
            merged.append([start, end])
    return merged


def without(pieces: Iterable[Piece], taken: Iterable[Piece]) -> list[Piece]:
    """The bytes of `pieces` that are not in `taken`. Both sorted and apart."""
    left: list[Piece] = []
    taken = list(taken)
    for start, end in pieces:
        for first, last in taken:
            if last <= start or first >= end:
                continue
            if first > start:
                left.append([start, first])
            start = last
        if start < end:
            left.append([start, end])
    return left


def common(pieces: list[Piece], others: list[Piece]) -> list[Piece]:
    """The bytes that are in both."""
    return without(pieces, without(pieces, others))


def total(pieces: Iterable[Piece]) -> int:
    """How many bytes that is."""
    return sum(end - start for start, end in pieces)
