"""The one writer of catalogue entries, and of what managers set for them."""

from collections.abc import Iterable
from typing import Any

from django.db import models, transaction

from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record

IDENTIFIERS = frozenset({"repo_id", "slug"})  # what other events and addresses call the entry


@transaction.atomic
def save_entry(
    entry: models.Model, *, actor: Account, verb: Verb, changed: Iterable[str]
) -> models.Model:
    """Save an entry that its form has validated; `changed` are the fields it changed.

    The event names the fields. It holds the values before and after of those that are no free
    text: links to other rows, numbers, choices, identifiers.
    """
    before = type(entry)._default_manager.select_for_update().filter(pk=entry.pk).first()
    entry.save()
    fields = sorted(set(changed))
    if before is None or fields:
        record(verb, entry, actor=actor, **_what(entry, before, fields))
    return entry


@transaction.atomic
def delete_entry(entry: models.Model, *, actor: Account, verb: Verb) -> None:
    """Delete an entry that nothing points to, such as a policy."""
    record(verb, entry, actor=actor, deleted=True)
    entry.delete()


def _what(entry: models.Model, before: models.Model | None, fields: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"fields": fields}
    if before is None:
        return told | {"created": True}
    plain = [name for name in fields if _is_plain(entry, name)]
    told["before"] = {name: _value(before, name) for name in plain}
    told["after"] = {name: _value(entry, name) for name in plain}
    return told


def _is_plain(entry: models.Model, name: str) -> bool:
    field = entry._meta.get_field(name)
    if isinstance(field, models.ForeignKey | models.IntegerField | models.BooleanField):
        return True
    return name in IDENTIFIERS or bool(getattr(field, "choices", None))


def _value(entry: models.Model, name: str) -> Any:
    return entry.serializable_value(name)
