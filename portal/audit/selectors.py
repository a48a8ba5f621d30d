"""Reads of the audit log."""

from django.db import models

from portal.audit.models import Event


def history(subject: models.Model) -> "models.QuerySet[Event]":
    """The events about one thing, oldest first."""
    return Event.objects.filter(
        subject_type=subject._meta.label_lower, subject_id=str(subject.pk)
    ).order_by("id")
