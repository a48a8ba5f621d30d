"""The audit log: one row an act, in the act's own transaction, never changed afterwards."""

from typing import Any

from django.conf import settings
from django.db import models


class Verb(models.TextChoices):
    """What can happen. Past tense, one word a floor, so that a log reads as sentences."""

    ACCOUNT_SIGNED_UP = "account.signed_up"
    ACCOUNT_CLOSED = "account.closed"
    ACCOUNT_OPENED = "account.opened"
    ROLES_CHANGED = "account.roles_changed"
    AFFILIATION_CHANGED = "affiliation.changed"
    TOKEN_CREATED = "token.created"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105

    LICENCE_ACCEPTED = "licence.accepted"
    LICENCE_PUBLISHED = "licence.published"
    RELEASE_PUBLISHED = "release.published"
    RELEASE_WITHDRAWN = "release.withdrawn"

    APPLICATION_STARTED = "application.started"
    APPLICATION_SUBMITTED = "application.submitted"
    APPLICATION_CLAIMED = "application.claimed"
    APPLICATION_RELEASED = "application.released"
    APPLICATION_RETURNED = "application.returned"
    APPLICATION_APPROVED = "application.approved"
    APPLICATION_REFUSED = "application.refused"
    APPLICATION_WITHDRAWN = "application.withdrawn"
    APPLICATION_DENIED = "application.denied"  # somebody tried what they may not

    MEMBER_INVITED = "member.invited"
    MEMBER_JOINED = "member.joined"
    MEMBER_ADMITTED = "member.admitted"
    MEMBER_DECLINED = "member.declined"
    MEMBER_REMOVED = "member.removed"

    GRANT_ISSUED = "grant.issued"
    GRANT_REVOKED = "grant.revoked"
    GRANT_SUSPENDED = "grant.suspended"
    GRANT_REINSTATED = "grant.reinstated"
    GRANT_RENEWED = "grant.renewed"
    GRANT_EXPIRED = "grant.expired"
    GRANT_REMINDED = "grant.reminded"
    GRANT_REACCEPTED = "grant.reaccepted"
    GRANT_CLOSED_OUT = "grant.closed_out"
    RENEWAL_ASKED = "renewal.asked"
    RENEWAL_REFUSED = "renewal.refused"

    LINK_ISSUED = "link.issued"
    LINK_DENIED = "link.denied"
    DOWNLOAD_STARTED = "download.started"
    DOWNLOAD_DENIED = "download.denied"

    RUN_STARTED = "run.started"
    RUN_FINISHED = "run.finished"
    RUN_CANCELLED = "run.cancelled"
    RUN_DENIED = "run.denied"


class Event(models.Model):
    """Who did what to what, when and why.

    It names accounts by id and holds no names, addresses or prompts, so that a person can be erased
    without touching the log. The database refuses UPDATE and DELETE (triggers.py).
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    verb = models.CharField(max_length=40, choices=Verb)
    # No constraint in the database: deleting a person must never delete, nor need to change, an event.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="+",
    )
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=64)
    data = models.JSONField(
        default=dict, help_text="States, codes, ids, sizes. Never names or prompts."
    )

    class Meta:
        ordering = ("-id",)
        indexes = [models.Index(fields=["subject_type", "subject_id", "id"], name="event_subject")]

    def __str__(self) -> str:
        return f"{self.verb} {self.subject_type} {self.subject_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk:
            raise TypeError("An event is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("An event is never deleted.")
