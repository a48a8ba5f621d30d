"""Those who vouch for an applicant over a mailed link: a signing official, or a referee."""

from datetime import timedelta

from django.conf import settings
from django.db import models

from access_requests.models.application import Application
from access_requests.models.people import new_nonce
from portal.accounts.addresses import AddressField, accounts_at
from portal.mail.models import OutgoingMail
from portal.names import NameField

LINK_DAYS = 30
REMIND_AFTER = timedelta(days=7)


class Witness(models.Model):
    """A person whom the applicant named, and what they said.

    The row is the mailed link's other half, as in `CoApplicant`: a new nonce ends the older link.
    `statement` is for reviewers: no page, mail or answer of the API shows it to the applicant.
    """

    class Kind(models.TextChoices):
        OFFICIAL = "official", "signing official"
        REFEREE = "referee", "referee"

    class Status(models.TextChoices):
        NAMED = "named", "named, asked when you submit"
        ASKED = "asked", "asked"
        ANSWERED = "answered", "answered"
        DECLINED = "declined", "declined"
        LAPSED = "lapsed", "did not answer in time"
        BOUNCED = "bounced", "could not be reached by mail"
        REPLACED = "replaced", "replaced by another person"
        CANCELLED = "cancelled", "no longer asked"

    application = models.ForeignKey(Application, models.PROTECT, related_name="witnesses")
    kind = models.CharField(max_length=10, choices=Kind)
    name = NameField(max_length=150)
    email = AddressField()
    position = NameField(max_length=200)
    status = models.CharField(max_length=10, choices=Status, default=Status.NAMED)
    nonce = models.CharField(max_length=32, default=new_nonce)
    named_at = models.DateTimeField(auto_now_add=True)
    asked_at = models.DateTimeField(null=True, blank=True, help_text="By the newest mail.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Of the link.")
    reminded_at = models.DateTimeField(null=True, blank=True)
    mails_sent = models.PositiveIntegerField(default=0, help_text="Without the reminders.")
    mail = models.ForeignKey(
        OutgoingMail,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The newest; a mail that never leaves makes the person unreachable.",
    )
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="Answered, lapsed, replaced, and so on."
    )
    statement = models.JSONField(
        default=dict, help_text="For reviewers only: what was read, and what was answered."
    )

    class Meta:
        verbose_name_plural = "witnesses"
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(
                fields=["application", "kind"],
                condition=models.Q(status__in=["named", "asked", "answered"]),
                name="one_witness_of_a_kind",
            )
        ]
        indexes = [
            models.Index(
                fields=["asked_at"], condition=models.Q(status="asked"), name="witness_asked"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk} of {self.application.reference}"

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.application.applicant_id, *accounts_at(self.email)}


class Waiver(models.Model):
    """A manager lets an application be approved without the answer that its releases ask for."""

    application = models.ForeignKey(Application, models.PROTECT, related_name="waivers")
    kind = models.CharField(max_length=10, choices=Witness.Kind)
    reason = models.TextField(help_text="For reviewers only.")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "kind"], name="waived_once")]

    def __str__(self) -> str:
        return f"{self.application_id} without {self.get_kind_display()}"
