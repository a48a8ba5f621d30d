"""What happens to a grant between its beginning and its end: reminders, renewals, the close-out."""

from django.conf import settings
from django.db import models

from access_requests.models.grant import Grant
from access_requests.models.people import FirstApproval
from portal.names import NameField


class Reminder(models.Model):
    """A holder was told that a grant ends in so many days. A renewed grant has a new end, and is
    reminded of anew.
    """

    grant = models.ForeignKey(Grant, models.PROTECT, related_name="reminders")
    ends_at = models.DateTimeField()
    days = models.PositiveIntegerField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["grant", "ends_at", "days"], name="one_reminder_each")
        ]

    def __str__(self) -> str:
        return f"grant {self.grant_id}: {self.days} days before the end"


class Renewal(FirstApproval):
    """The holder's report of use, and the wish to go on; decided by a reviewer."""

    class Status(models.TextChoices):
        OPEN = "open", "waiting for a reviewer"
        APPROVED = "approved", "renewed"
        REFUSED = "refused", "refused"

    grant = models.ForeignKey(Grant, models.PROTECT, related_name="renewals")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    used_for = models.TextField()
    publications = models.TextField(blank=True)
    derivatives = models.TextField(blank=True)
    first_approval_until = models.DateTimeField(null=True, blank=True)
    ends_at_before = models.DateTimeField(help_text="The end of the grant when this was asked.")
    asked_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True, help_text="Told to the holder.")

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["grant"],
                condition=models.Q(status="open"),
                name="one_open_renewal_per_grant",
            )
        ]

    def __str__(self) -> str:
        return f"renewal {self.pk} of grant {self.grant_id}"


class CloseOut(models.Model):
    """The holder says under their name that every copy is destroyed; the grant ended with it."""

    grant = models.OneToOneField(Grant, models.PROTECT, related_name="close_out")
    statement = models.TextField(help_text="The text that the name was typed under.")
    typed_name = NameField(max_length=150)
    remarks = models.TextField(blank=True)
    closed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"close-out of grant {self.grant_id}"

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.grant.account_id}
