"""A decision looked at a second time by somebody who does not know it. It changes nothing for the applicant."""

from django.conf import settings
from django.db import models

from access_requests.models.application import Application, Review


class SecondLook(models.Model):
    """Drawn at random after a decision. Until it is answered, its reviewer is kept from the decision."""

    class Outcome(models.TextChoices):
        OPEN = "", "waits for you"
        APPROVE = "approve", "approve"
        REFUSE = "refuse", "refuse"
        RETURN = "return", "return for correction"
        RECUSED = "recused", "given up for a conflict of interest"

    review = models.OneToOneField(Review, models.PROTECT, related_name="second_look")
    application = models.ForeignKey(Application, models.PROTECT, related_name="second_looks")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="second_looks"
    )
    seen = models.JSONField(
        default=dict,
        help_text="The application as it was at the decision: answers, affiliation, releases.",
    )
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN, blank=True)
    reason = models.TextField(blank=True, help_text="For managers; the applicant never sees it.")
    asked_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(
                fields=["reviewer"], condition=models.Q(outcome=""), name="second_look_open"
            )
        ]

    def __str__(self) -> str:
        return f"Second look at {self.application.reference}"

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.application.applicant_id}
