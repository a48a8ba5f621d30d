"""The one way to write to the audit log."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import models

from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.prepared import insert


def record(
    verb: Verb, subject: models.Model, *, actor: Account | AnonymousUser | None, **data: Any
) -> Event:
    """Append one event about `subject`, inside the caller's transaction.

    `actor` is None where no person acted (a rule, a task, an anonymous visitor).
    """
    person = actor if isinstance(actor, Account) else None
    return insert(
        Event(
            verb=verb,
            actor=person,
            subject_type=subject._meta.label_lower,
            subject_id=str(subject.pk),
            data=data,
        )
    )
