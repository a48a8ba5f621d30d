"""The Merkle tree of RFC 6962 (SHA-256): leaves and nodes are hashed apart, so that neither passes for the other."""

import hashlib
from collections.abc import Sequence


def leaf_hash(content: bytes) -> bytes:
    """32 bytes for one leaf."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The level above: pairs hashed, an odd last one carried up as it is."""
    pairs = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    return pairs if len(level) % 2 == 0 else [*pairs, level[-1]]


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; of none it is the hash of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    level: Sequence[bytes] = leaves
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """The hashes that lead from the leaf at `position` (from 0) to the root, lowest first."""
    level: Sequence[bytes] = leaves
    steps: list[bytes] = []
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            steps.append(level[sibling])
        level, position = _above(level), position // 2
    return steps
