"""The exact bytes that are hashed and signed: JSON with sorted keys, no spaces, ASCII alone."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode

# The columns of an event in the order of `event_bytes`.
COLUMNS = ("id", "at", "verb", "actor_id", "subject_type", "subject_id", "data")


def canonical(value: Any) -> bytes:
    return _encode(value).encode("ascii")


def moment(at: datetime) -> str:
    """A time in UTC, always with six digits of a second."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def event_content(row: Iterable[Any]) -> dict[str, Any]:
    """What a seal says of an event, from its `COLUMNS`."""
    pk, at, verb, actor, subject_type, subject_id, data = row
    return {
        "id": pk,
        "at": moment(at),
        "verb": verb,
        "actor": actor,
        "subject_type": subject_type,
        "subject_id": subject_id,
        "data": data,
    }


def event_bytes(row: Iterable[Any]) -> bytes:
    return canonical(event_content(row))
