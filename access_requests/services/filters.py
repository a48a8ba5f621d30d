"""A reviewer's own names for ways to look at the queue."""

from django.db import transaction

from access_requests.models import SavedFilter
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.names import clean_name
from portal.refusals import Code, Refusal


@transaction.atomic
def save_filter(*, actor: Account, name: str, query: str) -> SavedFilter:
    """Save the list's address under a name, in place of what had that name. Raises Refusal INVALID without a name."""
    if not (name := clean_name(name)[:40]):
        raise Refusal(
            Code.INVALID, "The filter has no name.", "Name it, so that you find it again."
        )
    saved, _ = SavedFilter.objects.update_or_create(
        owner=actor, name=name, defaults={"query": query[:500]}
    )
    record(Verb.FILTER_SAVED, saved, actor=actor)
    return saved


@transaction.atomic
def remove_filter(*, actor: Account, name: str) -> None:
    """Remove the filter of that name; nothing happens where there is none."""
    for saved in SavedFilter.objects.filter(owner=actor, name=clean_name(name)[:40]):
        record(Verb.FILTER_REMOVED, saved, actor=actor)
        saved.delete()
