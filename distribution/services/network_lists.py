"""Loading the table of networks and countries; the one in use stays until the new one is read as a whole."""

import hashlib
from itertools import islice
from pathlib import PurePath
from typing import IO

from django.db import transaction

from distribution import network_lists
from distribution.models import NetworkList, NetworkRange
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.refusals import Code, Refusal

BATCH = 2000  # ranges of one transaction


def load(file: IO[bytes], *, actor: Account, file_name: str) -> NetworkList:
    """Put a table in the place of the one in use. Raises Refusal NOT_ALLOWED, or INVALID with what is wrong."""
    if not roles.is_manager(actor):
        raise Refusal(
            Code.NOT_ALLOWED, "Only managers load this table.", "Ask a manager of this site."
        )
    name = PurePath(file_name).name[:200]
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    made = NetworkList.objects.create(file_name=name, sha256=sha256, loaded_by=actor)
    try:
        made.count = _read(made, file)
    except network_lists.Unreadable as error:
        made.delete()
        raise Refusal(
            Code.INVALID,
            f"{name} was not loaded. {error}",
            "Choose another file; the table in use stays.",
            fields={"file": [str(error)]},
        ) from None
    _put_in_use(made, actor)
    return made


def _read(made: NetworkList, file: IO[bytes]) -> int:
    ranges, count = network_lists.read(file), 0
    while batch := list(islice(ranges, BATCH)):
        NetworkRange.objects.bulk_create(
            NetworkRange(of=made, first=one.first, last=one.last, country=one.country)
            for one in batch
        )
        count += len(batch)
    if not count:
        raise network_lists.Unreadable("No network with a country is in it.")
    return count


@transaction.atomic
def _put_in_use(made: NetworkList, actor: Account) -> None:
    former = NetworkList.objects.select_for_update().filter(is_current=True)
    NetworkRange.objects.filter(of__in=list(former)).delete()
    former.update(is_current=False)
    made.is_current = True
    made.save(update_fields=["is_current", "count"])
    record(Verb.NETWORK_LIST_LOADED, made, actor=actor, count=made.count, sha256=made.sha256)
