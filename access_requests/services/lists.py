"""Loading the lists that evidence is looked up in.

A list becomes current in one short transaction, when it is there as a whole; until then, and when
something goes wrong, the one before it stays in use. The rows are written in batches of their own
transactions: so the memory is bounded, and nobody waits for the database meanwhile.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import PurePath
from typing import IO, Any, TypeVar

from django.db import IntegrityError, models, transaction

from access_requests.evidence.listed import pairs_of
from access_requests.lists import (
    Listed,
    Organisation,
    Unreadable,
    opened,
    read_institutions,
    read_listed,
)
from access_requests.lists.files import day_in, version_in
from access_requests.models import (
    EvidenceList,
    Institution,
    InstitutionDomain,
    InstitutionName,
    ListedEntry,
    ListedName,
    ListedPair,
)
from access_requests.names import name_key
from access_requests.services.acts import act_of_manager
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.refusals import Code, Refusal

BATCH = 2000  # entries of one transaction
Kind, Status = EvidenceList.Kind, EvidenceList.Status
Row = TypeVar("Row")


@dataclass(frozen=True)
class _Reader:
    """How a kind of list is read and kept."""

    ending: str
    read: Callable[[IO[bytes]], Iterator[Any]]
    keep: Callable[[EvidenceList, list[Any]], None]
    tables: tuple[type[models.Model], ...]  # children first, as they are emptied


def load_list(
    kind: str,
    file: IO[bytes],
    *,
    actor: Account | None,
    file_name: str,
    version: str = "",
    dated: date | None = None,
) -> EvidenceList:
    """Read a list and put it in the place of the one in use. `actor` is None for the command.

    Version and date come from the file's name where they are not given. Raises Refusal NOT_ALLOWED,
    or INVALID with what is wrong in the file; then the list in use stays.
    """
    if actor is not None:
        act_of_manager(actor)
    name = PurePath(file_name).name[:200]
    made = EvidenceList.objects.create(
        kind=kind,
        file_name=name,
        version=version or version_in(name),
        dated=dated or day_in(name),
        sha256=_digest(file),
        loaded_by=actor,
    )
    try:
        made.count = _read(made, file)
    except Unreadable as error:
        _give_up(made, str(error))
        raise Refusal(
            Code.INVALID,
            f"{name} was not loaded. {error}",
            "Choose another file; the list in use stays.",
            fields={"file": [str(error)]},
        ) from None
    except BaseException:
        _give_up(made, "It was broken off.")
        raise
    try:
        _put_in_use(made, actor)
    except IntegrityError:  # another one became current meanwhile
        _give_up(made, "Another list was loaded at the same moment.")
        raise Refusal(
            Code.CONFLICT,
            "Another list was loaded at the same moment; that one is in use.",
            "Load yours again if it is the better one.",
        ) from None
    return made


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _read(made: EvidenceList, file: IO[bytes]) -> int:
    reader = READERS[Kind(made.kind)]
    count = 0
    with opened(file, reader.ending) as stream:
        for batch in _batches(reader.read(stream)):
            with transaction.atomic():
                reader.keep(made, batch)
            count += len(batch)
    if not count:
        raise Unreadable("There is no entry in it.")
    return count


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        yield batch


def _put_in_use(made: EvidenceList, actor: Account | None) -> None:
    with transaction.atomic():
        former = EvidenceList.objects.select_for_update().filter(
            kind=made.kind, status=Status.CURRENT
        )
        replaced = list(former)
        EvidenceList.objects.filter(pk__in=[one.pk for one in replaced]).update(
            status=Status.FORMER
        )
        made.status = Status.CURRENT
        made.save(update_fields=["status", "count"])
        record(
            Verb.EVIDENCE_LIST_LOADED,
            made,
            actor=actor,
            kind=made.kind,
            entries=made.count,
            sha256=made.sha256,
        )
    for one in replaced:
        _empty(one)


def _give_up(made: EvidenceList, problem: str) -> None:
    _empty(made)
    made.status, made.problem = Status.FAILED, problem[:2000]
    made.save(update_fields=["status", "problem"])


def _empty(unused: EvidenceList) -> None:
    """Delete the rows of a list that nobody reads any more, a table at a time."""
    for table in READERS[Kind(unused.kind)].tables:
        rows = table._default_manager.filter(evidence_list=unused)
        rows._raw_delete(rows.db)


def _keep_institutions(made: EvidenceList, batch: list[Organisation]) -> None:
    kept = Institution.objects.bulk_create(
        Institution(
            evidence_list=made,
            ror=one.ror,
            name=one.name[:300],
            types=one.types,
            country=one.country,
        )
        for one in batch
    )
    pairs = list(zip(kept, batch, strict=True))
    InstitutionDomain.objects.bulk_create(
        InstitutionDomain(
            evidence_list=made, institution=row, domain=domain, is_named=domain in one.domains
        )
        for row, one in pairs
        for domain in sorted(one.domains | one.sites)
    )
    InstitutionName.objects.bulk_create(
        InstitutionName(evidence_list=made, institution=row, key=key)
        for row, one in pairs
        for key in sorted({name_key(name) for name in one.names} - {""})
    )


def _keep_listed(made: EvidenceList, batch: list[Listed]) -> None:
    kept = ListedEntry.objects.bulk_create(
        ListedEntry(
            evidence_list=made,
            kind=one.kind,
            name=one.name,
            aliases=one.names[1:],
            country=one.country,
            source=one.source,
            note=one.note,
        )
        for one in batch
    )
    named = [
        (ListedName(evidence_list=made, entry=row, key=name_key(name)), name)
        for row, one in zip(kept, batch, strict=True)
        for name in one.names
        if one.kind != ListedEntry.Kind.COUNTRY and name_key(name)
    ]
    ListedName.objects.bulk_create([row for row, _ in named])
    ListedPair.objects.bulk_create(
        ListedPair(evidence_list=made, entry=row.entry, kind=row.entry.kind, pair=pair, key=row.key)
        for row, name in named
        for pair in pairs_of(name)
    )


READERS = {
    Kind.INSTITUTIONS: _Reader(
        ".json",
        read_institutions,
        _keep_institutions,
        (InstitutionDomain, InstitutionName, Institution),
    ),
    Kind.LISTED: _Reader(".csv", read_listed, _keep_listed, (ListedPair, ListedName, ListedEntry)),
}
