"""The marks of the walk: each person's texts bear one of their own, and each says who may read it.

A page that shows a mark to somebody else has a leak, wherever the text came from.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from portal.accounts.models import Account
from portal.catalog.models import Release

REVIEWERS = ("rita", "sam", "mona", "root")


@dataclass(frozen=True)
class Secret:
    """A text that was planted, and the names of those who may read it."""

    text: str
    what: str
    readers: frozenset[str]


@dataclass
class World:
    people: dict[str, Account] = field(default_factory=dict)
    secrets: list[Secret] = field(default_factory=list)
    # owner → what their addresses are made of, by the kinds that tests/walker/addresses.py names
    things: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    releases: dict[str, list[Release]] = field(default_factory=dict)

    def plant(self, owner: str, what: str, readers: Iterable[str]) -> str:
        """A text that nothing else holds, written down as a secret."""
        text = f"{what.replace(' ', '-')}-of-{owner}-{len(self.secrets):03d}x"
        self.secrets.append(Secret(text, what, frozenset(readers)))
        return text
