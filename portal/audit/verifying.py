"""The walk over all seals and events that names the first bad one, and the proof of one event."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef

from portal.audit import keys, merkle, sealing
from portal.audit.canonical import COLUMNS, event_bytes, event_content
from portal.audit.models import FIRST_PREVIOUS, Event, Seal, SealedEvent
from portal.refusals import Code, Refusal

AT_ONCE = 20_000  # events held in memory


class Broken(Exception):
    """The first thing that is wrong. Its text names the event or the seal."""


@dataclass(frozen=True)
class Verified:
    events: int  # sealed ones
    seals: int
    waiting: int  # events that no seal has yet
    head: str  # `number:hash` of the last seal; an auditor keeps it and asks for it again later


def verify(head: str = "") -> Verified:
    """Walk the whole log; raise `Broken` at the first bad event or seal.

    head: `number:hash` as an earlier walk gave it. A log whose end was cut off is whole in itself; only this tells.
    """
    promised, _, promised_hash = head.partition(":")
    last: Seal | None = None
    events = 0
    for seal, entries, rows in _walk():
        _check_seal(seal, last)
        _check_events(seal, entries, rows)
        if head and seal.number == int(promised) and seal.hash != promised_hash:
            raise Broken(f"seal {seal.number} is not the one whose hash you kept")
        last, events = seal, events + len(entries)
    number = last.number if last else 0
    if head and number < int(promised):
        raise Broken(f"seal {number + 1} is missing: the log ends before seal {promised}")
    _check_the_rest(number)
    waiting = sealing.unsealed().count()
    return Verified(events, number, waiting, f"{number}:{last.hash}" if last else "")


Entry = tuple[int, int, bytes]  # position, event id, leaf hash


def _walk() -> Iterator[tuple[Seal, list[Entry], dict[int, tuple]]]:
    """Each seal with its entries and those of its events that are there."""
    for group in _groups():
        numbers = (group[0].number, group[-1].number)
        entries: dict[int, list[Entry]] = {seal.number: [] for seal in group}
        named = SealedEvent.objects.filter(seal__number__range=numbers).order_by(
            "seal_id", "position"
        )
        row: tuple[Any, ...]  # values, not objects: a million of them are read
        for row in named.values_list("seal_id", "position", "event_id", "leaf"):
            number, position, event, leaf = row
            if number not in entries:
                raise Broken(f"seal {number} is missing")
            entries[number].append((position, event, bytes(leaf)))
        there = Event.objects.filter(sealed__seal__number__range=numbers).order_by()
        rows = {row[0]: row for row in there.values_list(*COLUMNS)}
        for seal in group:
            yield seal, entries[seal.number], rows


def _groups() -> Iterator[list[Seal]]:
    """All seals by number, in groups of as many events as fit in memory together."""
    group: list[Seal] = []
    number = held = 0
    while page := list(Seal.objects.filter(number__gt=number).order_by("number")[:1000]):
        for seal in page:
            if group and held + seal.count > AT_ONCE:
                yield group
                group, held = [], 0
            group.append(seal)
            held += seal.count
        number = page[-1].number
    if group:
        yield group


def _check_seal(seal: Seal, last: Seal | None) -> None:
    expected = last.number + 1 if last else 1
    if seal.number != expected:
        raise Broken(f"seal {expected} is missing")
    public = keys.trusted().get(seal.key_id)
    if public is None:
        raise Broken(
            f"seal {seal.number} is signed with the key {seal.key_id}, which is not trusted here "
            "(a former key of yours belongs into WEIGHBRIDGE_AUDIT_FORMER_KEYS)"
        )
    if not keys.signed_by(public, seal.signature, seal.statement):
        raise Broken(f"seal {seal.number} was altered: its signature does not fit what it says")
    if seal.previous != (last.hash if last else FIRST_PREVIOUS):
        raise Broken(f"seal {seal.number} does not follow the seal before it")


def _check_events(seal: Seal, entries: list[Entry], rows: dict[int, tuple]) -> None:
    before = 0
    for expected, (position, event, leaf) in enumerate(entries):
        if position != expected:
            raise _gap(seal, expected, before)
        if expected >= seal.count:
            raise Broken(f"event {event} was inserted into seal {seal.number} afterwards")
        if event <= before:
            raise Broken(f"event {event} is out of its order in seal {seal.number}")
        if event not in rows:
            raise Broken(f"event {event} is missing; seal {seal.number} names it")
        if merkle.leaf_hash(event_bytes(rows[event])) != leaf:
            raise Broken(f"event {event} was altered after seal {seal.number}")
        before = event
    if len(entries) < seal.count:
        raise _gap(seal, len(entries), before)
    if merkle.root([leaf for _, _, leaf in entries]).hex() != seal.root:
        raise Broken(
            f"seal {seal.number} is broken: an event between {seal.first_event} and "
            f"{seal.last_event} was replaced together with its hash"
        )


def _gap(seal: Seal, position: int, before: int) -> Broken:
    where = f"after event {before}" if before else f"event {seal.first_event}"
    return Broken(f"an event is missing: number {position + 1} of seal {seal.number}, {where}")


def _check_the_rest(number: int) -> None:
    """What no seal names, and what names no seal."""
    seal = Seal.objects.filter(number=OuterRef("seal_id"))
    if orphan := SealedEvent.objects.filter(~Exists(seal), seal_id__gt=number).first():
        raise Broken(f"seal {orphan.seal_id} is missing; it sealed event {orphan.event_id}")
    if inserted := sealing.backdated().order_by("id").first():
        raise Broken(
            f"event {inserted.pk} was inserted afterwards: no seal names it, and it says that it is "
            f"more than {sealing.LATE.seconds // 3600} hour older than what was sealed by then (if you "
            "know better, `script/manage audit seal --all` seals it from now on)"
        )


def prove(event_id: int) -> dict[str, Any]:
    """All that a third party needs to check one event without this database (docs/auditors/verify_event.py)."""
    row = Event.objects.filter(pk=event_id).values_list(*COLUMNS).first()
    if row is None:
        raise Refusal(Code.NOT_FOUND, f"There is no event {event_id}.", "Check the number.")
    entry = SealedEvent.objects.filter(event_id=event_id).select_related("seal").first()
    if entry is None:
        raise Refusal(
            Code.WRONG_STATE,
            f"Event {event_id} is in no seal yet.",
            "Ask again in a minute; a seal is made every few seconds.",
        )
    seal = entry.seal
    mates = SealedEvent.objects.filter(seal=seal).order_by("position")
    leaves = [bytes(leaf) for leaf in mates.values_list("leaf", flat=True)]
    public = keys.trusted().get(seal.key_id, "")
    if (
        merkle.leaf_hash(event_bytes(row)) != bytes(entry.leaf)
        or merkle.root(leaves).hex() != seal.root
        or not keys.signed_by(public, seal.signature, seal.statement)
    ):
        raise Refusal(
            Code.CONFLICT,
            f"Event {event_id} and its seal do not fit together.",
            "An operator runs `script/manage audit verify`, which names what was altered.",
        )
    return {
        "format": "weighbridge-proof-1",
        "event": event_content(row),
        "position": entry.position,
        "path": [step.hex() for step in merkle.path(leaves, entry.position)],
        "seal": seal.content(),
        "signature": seal.signature,
        "public_key": public,
    }
