"""The only thing that opens a door."""

from django.conf import settings
from django.db import models

from access_requests.models.application import Application, LicenceAcceptance
from access_requests.workflow import GrantStatus
from portal.catalog.models import Release


class Tier(models.TextChoices):
    TRY = "try", "sandbox only"
    WEIGHTS = "weights", "sandbox and download"


class Grant(models.Model):
    """Who may use which release, under which accepted licence text, from when until when, at which
    tier.

    Whether it opens a door NOW depends on time, licence and release too: ask `selectors.grant_for`,
    never the columns.
    """

    Status = GrantStatus

    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="grants")
    release = models.ForeignKey(Release, models.PROTECT, related_name="grants")
    application = models.ForeignKey(
        Application, models.PROTECT, null=True, blank=True, related_name="grants"
    )
    acceptance = models.ForeignKey(LicenceAcceptance, models.PROTECT, related_name="grants")
    tier = models.CharField(max_length=10, choices=Tier, default=Tier.WEIGHTS)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    status_reason = models.TextField(blank=True)
    status_changed_at = models.DateTimeField(null=True, blank=True)
    status_changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    pending_again = models.BooleanField(
        default=False,
        help_text="Suspended by being set back to pending, which accepting the request lifts.",
    )
    expiry_recorded_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the sweep wrote down that it ended; it ended on time without it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(fields=["account", "release"], name="grant_door"),
            models.Index(fields=["ends_at", "id"], name="grant_end"),
            models.Index(fields=["status", "id"], name="grant_status"),
        ]

    def __str__(self) -> str:
        return f"G-{self.pk:06d}"

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.account_id}
