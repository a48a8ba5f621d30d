"""The audit log: one row an act, in the act's own transaction, never changed afterwards."""

import hashlib
from typing import Any

from django.conf import settings
from django.db import models

from portal.audit.canonical import canonical, moment


class Verb(models.TextChoices):
    """What can happen. Past tense, one word a floor, so that a log reads as sentences."""

    ACCOUNT_SIGNED_UP = "account.signed_up"
    ACCOUNT_CLOSED = "account.closed"
    ACCOUNT_OPENED = "account.opened"
    ACCOUNT_ERASED = "account.erased"
    ERASURE_SCHEDULED = "erasure.scheduled"
    ERASURE_TAKEN_BACK = "erasure.taken_back"
    ACCOUNT_RENAMED = "account.renamed"
    PASSWORD_CHANGED = "account.password_changed"  # noqa: S105
    PASSWORD_RESET = "account.password_reset"  # noqa: S105
    ADDRESS_ADDED = "account.address_added"
    ADDRESS_CONFIRMED = "account.address_confirmed"
    ADDRESS_MADE_PRIMARY = "account.address_made_primary"
    ADDRESS_CHANGED = "account.address_changed"
    ADDRESS_REMOVED = "account.address_removed"
    NEW_DEVICE = "account.signed_in_from_new_device"
    SECOND_FACTOR_ADDED = "account.second_factor_added"
    SECOND_FACTOR_REMOVED = "account.second_factor_removed"
    SIGN_IN_LINKED = "account.sign_in_linked"  # an ORCID iD
    SIGN_IN_UNLINKED = "account.sign_in_unlinked"
    ROLES_CHANGED = "account.roles_changed"
    AFFILIATION_CHANGED = "affiliation.changed"
    TOKEN_CREATED = "token.created"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105

    LICENCE_ACCEPTED = "licence.accepted"
    LICENCE_PUBLISHED = "licence.published"
    RELEASE_PUBLISHED = "release.published"
    RELEASE_WITHDRAWN = "release.withdrawn"
    RELEASE_RESTORED = "release.restored"  # after a withdrawal, with its weights
    RELEASE_ANNOUNCED = "release.announced"  # the same, without any
    RELEASE_TAGGED = "release.tagged"
    REVISION_TAKEN_DOWN = "revision.taken_down"
    REVISION_RESTORED = "revision.restored"
    # Edits by managers: they name the fields, and hold no text of them.
    RELEASE_CHANGED = "release.changed"
    FAMILY_CHANGED = "family.changed"
    LICENCE_DESCRIBED = "licence.described"
    POLICY_CHANGED = "policy.changed"
    FORM_MADE = "form.made"  # a version of a family's questions
    FORM_CHANGED = "form.changed"
    FILTER_SAVED = "filter.saved"
    FILTER_REMOVED = "filter.removed"

    APPLICATION_STARTED = "application.started"
    APPLICATION_SUBMITTED = "application.submitted"
    APPLICATION_CLAIMED = "application.claimed"
    APPLICATION_RELEASED = "application.released"
    APPLICATION_RETURNED = "application.returned"
    APPLICATION_APPROVED = "application.approved"
    APPLICATION_REFUSED = "application.refused"
    APPLICATION_WITHDRAWN = "application.withdrawn"
    APPLICATION_ENDORSED = "application.endorsed"  # the first of two approvals
    APPLICATION_APPEALED = "application.appealed"
    APPLICATION_MESSAGED = "application.messaged"
    APPLICATION_NOTED = "application.noted"  # an internal note
    APPLICATION_ASSIGNED = "application.assigned"
    APPLICATION_RECUSED = "application.recused"
    APPLICATION_REMINDED = "application.reminded"
    OPINION_ASKED = "application.opinion_asked"
    OPINION_GIVEN = "application.opinion_given"
    SECOND_LOOK_DRAWN = "application.second_look_drawn"
    SECOND_LOOK_GIVEN = "second_look.given"
    BLOCK_CHANGED = "block.changed"
    RULE_CHANGED = "rule.changed"  # an automatic rule: written, put in force, stopped
    EVIDENCE_LIST_LOADED = "evidence_list.loaded"
    APPLICATION_DENIED = "application.denied"  # somebody tried what they may not

    MEMBER_INVITED = "member.invited"
    MEMBER_JOINED = "member.joined"
    MEMBER_ENDORSED = "member.endorsed"  # the first of two approvals
    MEMBER_ADMITTED = "member.admitted"
    MEMBER_DECLINED = "member.declined"
    MEMBER_REMOVED = "member.removed"

    WITNESS_NAMED = "witness.named"
    WITNESS_ASKED = "witness.asked"
    WITNESS_REMINDED = "witness.reminded"
    WITNESS_ANSWERED = "witness.answered"
    WITNESS_DECLINED = "witness.declined"
    WITNESS_LAPSED = "witness.lapsed"
    WITNESS_BOUNCED = "witness.bounced"
    WITNESS_CANCELLED = "witness.cancelled"
    EVIDENCE_WAIVED = "evidence.waived"

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
    RENEWAL_ENDORSED = "renewal.endorsed"
    RENEWAL_REFUSED = "renewal.refused"

    LINK_ISSUED = "link.issued"
    LINK_DENIED = "link.denied"
    DOWNLOAD_STARTED = "download.started"
    DOWNLOAD_DENIED = "download.denied"
    DOWNLOAD_STOPPED = "download.stopped"  # its grant ended while it ran
    QUOTA_SET = "quota.set"
    ALARM_RAISED = "alarm.raised"
    ALARM_DISMISSED = "alarm.dismissed"
    NETWORK_LIST_LOADED = "network_list.loaded"

    RUN_STARTED = "run.started"
    RUN_FINISHED = "run.finished"
    RUN_CANCELLED = "run.cancelled"
    RUN_DENIED = "run.denied"
    RUN_NOTED = "run.noted"
    RUN_SHARED = "run.shared"
    RUN_UNSHARED = "run.unshared"
    RUN_DELETED = "run.deleted"  # by its person; that it was, stays
    RUN_EMPTIED = "run.emptied"  # its texts had reached their age
    RUN_REPORTED = "run.reported"
    REPORT_CLOSED = "report.closed"
    SANDBOX_QUOTA_SET = "sandbox_quota.set"

    WEBHOOK_MADE = "webhook.made"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_PAUSED = "webhook.paused"
    WEBHOOK_RESUMED = "webhook.resumed"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105
    WEBHOOK_REPLAYED = "webhook.replayed"
    WEBHOOK_PINGED = "webhook.pinged"
    WEBHOOK_FAILING = "webhook.failing"
    WEBHOOK_ENDED = "webhook.ended"


class AppendOnly(models.Model):
    """Written once. The database refuses UPDATE and DELETE (triggers.py); so does the object, and earlier."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(f"{type(self).__name__}: this record is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError(f"{type(self).__name__}: this record is never deleted.")


def verbs() -> list[tuple[str, str]]:
    """For `choices`: a function, so that a new verb asks for no migration."""
    return Verb.choices


class Event(AppendOnly):
    """Who did what to what, when and why.

    It names accounts by id and holds no names, addresses or prompts, so that a person can be erased
    without touching the log. The database refuses UPDATE and DELETE (triggers.py).
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    verb = models.CharField(max_length=40, choices=verbs)
    # No constraint in the database: deleting a person must never delete, nor need to change, an event.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,  # the first column of an index below
        related_name="+",
    )
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=64)
    data = models.JSONField(
        default=dict, help_text="States, codes, ids, sizes. Never names or prompts."
    )

    class Meta:
        ordering = ("-id",)
        # Each filter of the log with the order of the log, so that a page of it is read and no more.
        indexes = [
            models.Index(fields=["subject_id", "subject_type", "at", "id"], name="event_about"),
            models.Index(fields=["subject_type", "at", "id"], name="event_kind"),
            models.Index(fields=["verb", "at", "id"], name="event_verb"),
            models.Index(fields=["actor", "at", "id"], name="event_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.subject_type} {self.subject_id}"


FIRST_PREVIOUS = "0" * 64  # what the first seal says of the one before it


class Seal(AppendOnly):
    """A batch of events that cannot change any more without it being seen.

    Seals are numbered from 1 without a gap. Each names the one before it by its hash, so that none can be taken out or
    put in between. What it says is its `statement`; that is what is signed.
    """

    number = models.PositiveBigIntegerField(primary_key=True)
    first_event = models.BigIntegerField(help_text="lowest event id; others may lie in between")
    last_event = models.BigIntegerField(help_text="highest event id")
    count = models.PositiveIntegerField(help_text="how many events it seals")
    newest_at = models.DateTimeField(
        help_text="time of the newest event that was sealed up to here; bounds how late one may come"
    )
    root = models.CharField(max_length=64, help_text="Merkle root of its events, hex")
    previous = models.CharField(max_length=64, help_text="hash of the seal before it, hex")
    sealed_at = models.DateTimeField()
    key_id = models.CharField(max_length=16)
    signature = models.CharField(max_length=128, help_text="Ed25519, hex")

    class Meta:
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"Seal {self.number}"

    def content(self) -> dict[str, Any]:
        return {
            "format": "weighbridge-seal-1",
            "number": self.number,
            "first_event": self.first_event,
            "last_event": self.last_event,
            "count": self.count,
            "newest_at": moment(self.newest_at),
            "root": self.root,
            "previous": self.previous,
            "sealed_at": moment(self.sealed_at),
            "key_id": self.key_id,
        }

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        return canonical(self.content())

    @property
    def hash(self) -> str:
        """How the next seal names this one."""
        return hashlib.sha256(self.statement).hexdigest()


class SealedEvent(AppendOnly):
    """Which seal an event is in, and where. The leaf's hash is kept, so that an altered event is named by itself."""

    # No constraints: this is the witness against the two tables, and must outlive what is taken out of them.
    event = models.OneToOneField(
        Event,
        models.DO_NOTHING,
        primary_key=True,
        db_constraint=False,
        related_name="sealed",
    )
    seal = models.ForeignKey(
        Seal, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    position = models.PositiveIntegerField(help_text="from 0, by event id")
    leaf = models.BinaryField(max_length=32)

    class Meta:
        ordering = ("seal_id", "position")
        constraints = [
            models.UniqueConstraint(fields=["seal", "position"], name="one_event_a_position")
        ]

    def __str__(self) -> str:
        return f"event {self.event_id} in seal {self.seal_id}"
