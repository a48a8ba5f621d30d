"""What changed between two texts, word by word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice

_PARTS = re.compile(r"\S+|\s+")
NEAR = 12  # words of unchanged text shown on each side of a change


@dataclass(frozen=True)
class Piece:
    """`kind`: same, added, removed, or skipped (then `text` is empty and `words` counts them)."""

    kind: str
    text: str
    words: int = 0


def by_words(old: str, new: str) -> list[Piece]:
    """The new text with what was added and removed; long unchanged stretches are cut short.

    Lines are matched first and words within the changed lines after, so that a long text stays
    quick to compare.
    """
    return [piece for same in _merged(_raw(old, new)) for piece in _cut(same)]


def _raw(old: str, new: str) -> Iterator[Piece]:
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Piece("same", "".join(before[a:b]))
        else:
            yield from _words("".join(before[a:b]), "".join(after[c:d]))


def _words(old: str, new: str) -> Iterator[Piece]:
    before, after = _PARTS.findall(old), _PARTS.findall(new)
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Piece("same", "".join(before[a:b]))
            continue
        if b > a:
            yield Piece("removed", "".join(before[a:b]))
        if d > c:
            yield Piece("added", "".join(after[c:d]))


def _merged(pieces: Iterator[Piece]) -> Iterator[Piece]:
    last: Piece | None = None
    for piece in pieces:
        if last and last.kind == piece.kind:
            last = Piece(last.kind, last.text + piece.text)
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last


def _cut(piece: Piece) -> Iterator[Piece]:
    parts = _PARTS.findall(piece.text)
    words = len(piece.text.split())
    if piece.kind != "same" or words <= 2 * NEAR + 10:
        yield piece
        return
    yield Piece("same", "".join(islice(parts, 2 * NEAR)))
    yield Piece("skipped", "", words - 2 * NEAR)
    yield Piece("same", "".join(parts[-2 * NEAR :]))
