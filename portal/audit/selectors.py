"""Reads of the audit log."""

from datetime import datetime

from django.db import connection, models

from portal.accounts.addresses import account_at
from portal.audit.models import Event

# Steps from one type to the next in the index, where DISTINCT would read all of it.
SUBJECT_TYPES = """
WITH RECURSIVE found(kind) AS (
    SELECT min(subject_type) FROM audit_event
    UNION ALL
    SELECT (SELECT min(subject_type) FROM audit_event WHERE subject_type > kind)
    FROM found WHERE kind IS NOT NULL
)
SELECT kind FROM found WHERE kind IS NOT NULL
"""


def history(subject: models.Model) -> "models.QuerySet[Event]":
    """The events about one thing, oldest first."""
    return Event.objects.filter(
        subject_type=subject._meta.label_lower, subject_id=str(subject.pk)
    ).order_by("id")


def about(events: "models.QuerySet[Event]", text: str) -> "models.QuerySet[Event]":
    """Those about the thing of this id, or by the person of this e-mail address."""
    wanted = text.strip()
    if not wanted:
        return events
    if "\0" in wanted:  # which PostgreSQL takes in no text
        return events.none()
    if "@" in wanted:
        who = account_at(wanted)
        return events.filter(actor=who) if who else events.none()
    return events.filter(subject_id=wanted)


def subject_types() -> list[str]:
    """What kinds of things the log speaks of."""
    with connection.cursor() as cursor:
        cursor.execute(SUBJECT_TYPES)
        return [kind for (kind,) in cursor.fetchall()]


def first_moment() -> datetime | None:
    return Event.objects.order_by("at").values_list("at", flat=True).first()
