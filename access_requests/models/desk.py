"""What reviewers keep beside an application: notes, requests, recusals, and their own filters."""

from django.conf import settings
from django.db import models

from access_requests.models.application import Application


class Note(models.Model):
    """Reviewers among themselves. Never shown to the applicant, at no door."""

    application = models.ForeignKey(Application, models.PROTECT, related_name="notes")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.application_id}, {self.created_at:%Y-%m-%d}"


class Recusal(models.Model):
    """A reviewer declared a conflict of interest and acts on this application no more."""

    application = models.ForeignKey(Application, models.PROTECT, related_name="recusals")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="recusals")
    reason = models.TextField(help_text="For reviewers only.")
    declared_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["application", "reviewer"], name="recused_once")
        ]

    def __str__(self) -> str:
        return f"{self.reviewer_id} from {self.application_id}"


class Opinion(models.Model):
    """One reviewer asks a named colleague for a review, or for the second decision."""

    class Kind(models.TextChoices):
        REVIEW = "review", "a review: an opinion beside the decision"
        DECISION = "decision", "the second decision: two people have to approve"

    class Advice(models.TextChoices):
        OPEN = "", "not answered yet"
        APPROVE = "approve", "approve"
        REFUSE = "refuse", "refuse"
        UNSURE = "unsure", "unsure"

    application = models.ForeignKey(Application, models.PROTECT, related_name="opinions")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.REVIEW)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="opinions")
    question = models.TextField(blank=True)
    advice = models.CharField(max_length=10, choices=Advice, default=Advice.OPEN, blank=True)
    answer = models.TextField(blank=True)
    asked_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        indexes = [models.Index(fields=["advice", "answered_at"], name="opinion_advice")]

    def __str__(self) -> str:
        return f"{self.reviewer_id} on {self.application_id}"

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.application.applicant_id, self.asked_by_id, self.reviewer_id}
