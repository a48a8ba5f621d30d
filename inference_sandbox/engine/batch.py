"""What one forward pass computes: the next tokens of some sequences, one after another in one row.

The linear layers see all tokens at once, whoever they belong to. Attention needs them apart: rows
of the cache that lie side by side and have one token each are attended to together, under a mask
that ends each row at its own length; a piece of a prompt is attended to by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """Tokens of one sequence that follow the `start` ones that its row of the cache holds."""

    row: int
    start: int
    tokens: Sequence[int]

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)


@dataclass(frozen=True)
class Group:
    """Pieces that share one call of attention: tokens [first, last) of the batch.

    mask: [rows, 1, R·T, length], added to the scores; None where every token sees everything.
    """

    first: int
    last: int
    rows: slice
    length: int
    mask: Tensor | None


class Batch:
    """tokens, rows, positions: [N] each, in the order of the rows (see `order`).

    is_step: whether each piece is one token.
    """

    def __init__(
        self, pieces: Sequence[Piece], *, repeats: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        # The pieces as they stand in the batch, and where each one's tokens begin.
        self.order = sorted(range(len(pieces)), key=lambda number: pieces[number].row)
        self.pieces = [pieces[number] for number in self.order]
        self._repeats, self._dtype, self._device = repeats, dtype, device
        self.is_step = all(len(piece.tokens) == 1 for piece in pieces)

    # Made when they are asked for: whoever computes steps by kernels needs none of these.

    @cached_property
    def tokens(self) -> Tensor:
        return self._tensor([token for piece in self.pieces for token in piece.tokens])

    @cached_property
    def rows(self) -> Tensor:
        return self._tensor([p.row for p in self.pieces for _ in p.tokens])

    @cached_property
    def positions(self) -> Tensor:
        return self._tensor([at for p in self.pieces for at in range(p.start, p.end)])

    @cached_property
    def groups(self) -> list[Group]:
        groups, first, number = [], 0, 0
        while number < len(self.pieces):
            members = self._side_by_side(number)
            count = sum(len(piece.tokens) for piece in members)
            rows = slice(members[0].row, members[0].row + len(members))
            length = max(piece.end for piece in members)
            groups.append(Group(first, first + count, rows, length, self._mask(members, length)))
            first, number = first + count, number + len(members)
        return groups

    def _side_by_side(self, number: int) -> list[Piece]:
        """The piece and those behind it that can be attended to with it."""
        members = [self.pieces[number]]
        if len(members[0].tokens) > 1:
            return members
        for piece in self.pieces[number + 1 :]:
            if piece.row != members[-1].row + 1 or len(piece.tokens) > 1:
                break
            members.append(piece)
        return members

    def _mask(self, members: list[Piece], length: int) -> Tensor | None:
        if len(members[0].tokens) == 1:
            if all(piece.end == length for piece in members):
                return None
            seen = self._tensor([[piece.start] for piece in members]).unsqueeze(1)  # [rows, 1, 1]
        else:
            (piece,) = members
            seen = torch.arange(piece.start, piece.end, device=self._device).view(1, -1, 1)
        columns = torch.arange(length, device=self._device)
        hidden = torch.zeros((), dtype=self._dtype, device=self._device).masked_fill(
            columns > seen, float("-inf")
        )
        return hidden.repeat(1, self._repeats, 1).unsqueeze(1)

    def _tensor(self, values: Sequence[object]) -> Tensor:
        return torch.tensor(values, device=self._device)
