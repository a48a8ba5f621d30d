"""The people around an application: those who apply together with the applicant."""

import secrets

from django.conf import settings
from django.db import models

from access_requests.models.application import Application, LicenceAcceptance
from portal.accounts.addresses import AddressField


def new_nonce() -> str:
    return secrets.token_urlsafe(16)


class FirstApproval(models.Model):
    """Who approved first, where two people have to; it gives no access by itself."""

    first_approval_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    first_approval_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class CoApplicant(FirstApproval):
    """A person invited to an application, with their own account, affiliation, licence and grants.

    The link in the mail holds `nonce`; a new one ends the old link, none means it was used.
    """

    class Status(models.TextChoices):
        INVITED = "invited", "invited"
        JOINED = "joined", "joined, waiting for a reviewer"
        ADMITTED = "admitted", "admitted"
        DECLINED = "declined", "not admitted"
        REMOVED = "removed", "removed"

    application = models.ForeignKey(Application, models.PROTECT, related_name="coapplicants")
    email = AddressField()
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="joined_applications",
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.INVITED)
    nonce = models.CharField(max_length=32, default=new_nonce, blank=True)
    invited_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Of the link.")
    mails_sent = models.PositiveIntegerField(default=1)
    joined_at = models.DateTimeField(null=True, blank=True)
    affiliation = models.JSONField(default=dict, help_text="As it was when the person joined.")
    acceptance = models.ForeignKey(
        LicenceAcceptance, models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True, help_text="Told to the person and to the applicant.")

    class Meta:
        verbose_name = "co-applicant"
        ordering = ("id",)
        indexes = [models.Index(fields=["status", "id"], name="coapplicant_status")]
        constraints = [
            models.UniqueConstraint(
                fields=["application", "email"],
                condition=models.Q(status__in=["invited", "joined", "admitted"]),
                name="one_place_per_address",
            ),
            models.UniqueConstraint(
                fields=["application", "account"],
                condition=models.Q(status__in=["joined", "admitted"]),
                name="one_place_per_account",
            ),
        ]

    def __str__(self) -> str:
        return f"co-applicant {self.pk} of {self.application.reference}"

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.application.applicant_id, self.account_id}

    @property
    def is_in(self) -> bool:
        return self.status in (self.Status.JOINED, self.Status.ADMITTED)
