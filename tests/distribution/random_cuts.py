"""A line that is cut at random bytes, so and so often, and the count of what that cost."""

import os
import random
from pathlib import Path

from distribution.services import publish
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.distribution.cutting import Cut, Exchange, Line
from tests.distribution.weights import granted, original


def release_of(account: Account, release: Release, folder: Path, *, files: int, size: int) -> Path:
    """A published release with so many files of about that size; returns its folder."""
    original(folder)
    for number in range(files):
        (folder / f"part-{number}.txt").write_bytes(os.urandom(size + number))
    granted(account, publish(folder, repo_id=release.repo_id, actor=None).release)
    return folder


class RandomCuts:
    """Cuts the large files' transfers, and now and then what the script asks the site besides."""

    def __init__(self, line: Line, *, cuts: int, files: int, size: int, seed: int) -> None:
        self._line, self._cuts = line, cuts
        self._numbers = random.Random(seed)
        self._step = files * size // cuts  # so that all cuts find something to cut
        self.abrupt: list[Exchange] = []
        line.cut = self._next

    @property
    def made(self) -> int:
        return sum(one.was_cut for one in self._line.exchanges)

    def lost_at_most(self) -> int:
        """What resets can have lost: what was sent in that transfer, and had not been read yet."""
        return sum(one.sent for one in self.abrupt)

    def _next(self, exchange: Exchange) -> Cut | None:
        begun = sum(one.was_cut for one in self._line.exchanges)
        if begun >= self._cuts or not (exchange.length > self._step or not exchange.is_download):
            return None
        if not exchange.is_download and self._numbers.random() < 0.5:
            return None
        abrupt = self._numbers.random() < 0.5
        after = self._numbers.randrange(1 if not exchange.is_download else self._step)
        if abrupt:
            self.abrupt.append(exchange)
        return Cut(after, abrupt)
