"""Sealing: events are inserted without a lock, and sealed in batches afterwards, by one sealer at a time.

An event's id is taken when it is inserted and seen when its transaction commits, so a lower id can appear after a
higher one, and some ids never appear. A seal therefore names its events one by one (SealedEvent) and no range; what
comes late goes into a later seal. Backdating is bounded: what claims to be more than LATE older than the newest event
that is sealed already is not sealed, and `verify` names it, until an operator has looked at it (`audit seal --all`).
"""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.audit import keys, merkle
from portal.audit.canonical import COLUMNS, event_bytes
from portal.audit.models import FIRST_PREVIOUS, Event, Seal, SealedEvent

SETTLE = timedelta(seconds=2)  # so that nearly all events are sealed in the order of their ids
LATE = timedelta(hours=1)  # longer than any transaction of ours, with room for clocks that differ
BATCH = 2048  # events in a seal at most; SQLite's one writer waits for no more than these
LOCK = 0x5EA1  # PostgreSQL's advisory lock of the sealer


def last_seal() -> Seal | None:
    return Seal.objects.order_by("-number").first()


def unsealed() -> "QuerySet[Event]":
    return Event.objects.filter(sealed=None)


def backdated() -> "QuerySet[Event]":
    """Events in no seal that say they are older than what may still come."""
    last = last_seal()
    return unsealed().filter(at__lte=last.newest_at - LATE) if last else Event.objects.none()


def _waiting(last: Seal | None, *, late: bool) -> "QuerySet[Event]":
    """What the next seal takes from. Without `late` only ids above all sealed ones, which needs no search."""
    if last is None:
        return Event.objects.all()
    recent = Event.objects.filter(at__gt=last.newest_at - LATE)
    if late:
        return recent.filter(sealed=None)
    highest = SealedEvent.objects.order_by("-event_id").values_list("event_id", flat=True)[:1]
    return recent.filter(id__gt=highest[0])


def waiting() -> "QuerySet[Event]":
    """Events that a seal may still take in. What came too late for that is told by `verify`."""
    return _waiting(last_seal(), late=True)


def seal_waiting(
    *, settle: timedelta = timedelta(0), late: bool = False, everything: bool = False
) -> list[Seal]:
    """Seal what waits and is older than `settle`; return the new seals, oldest first.

    everything: also what came too late to be sealed without a look at it.
    """
    made = []
    before = timezone.now() - settle
    while (seal := _seal_batch(before, late=late, everything=everything)) is not None:
        made.append(seal)
        if seal.count < BATCH:
            break
    return made


def _seal_batch(before: datetime, *, late: bool, everything: bool) -> Seal | None:
    def batch() -> "QuerySet[Event]":
        waiting = unsealed() if everything else _waiting(last_seal(), late=late)
        return waiting.filter(at__lte=before).order_by("id")

    if not batch().exists():  # most of the time; SQLite's one writer is not held up to learn it
        return None
    with transaction.atomic():
        _one_sealer()
        rows = list(batch().values_list(*COLUMNS)[:BATCH])
        return _write(last_seal(), rows) if rows else None


def _one_sealer() -> None:
    """Wait for another sealer until the end of its transaction. SQLite has one writer in any case."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _write(last: Seal | None, rows: list[tuple]) -> Seal:
    now = timezone.now()
    leaves = [merkle.leaf_hash(event_bytes(row)) for row in rows]
    # A clock that ran ahead once must not make all later events look late.
    newest = min(now, max(row[1] for row in rows))
    key = keys.signing_key()
    seal = Seal(
        number=last.number + 1 if last else 1,
        first_event=rows[0][0],
        last_event=rows[-1][0],
        count=len(rows),
        newest_at=max(newest, last.newest_at) if last else newest,
        root=merkle.root(leaves).hex(),
        previous=last.hash if last else FIRST_PREVIOUS,
        sealed_at=now,
        key_id=keys.key_id(keys.public_key()),
    )
    seal.signature = key.sign(seal.statement).hex()
    seal.save(force_insert=True)
    SealedEvent.objects.bulk_create(
        SealedEvent(event_id=row[0], seal=seal, position=position, leaf=leaf)
        for position, (row, leaf) in enumerate(zip(rows, leaves, strict=True))
    )
    return seal
