"""The outbox: a mail is a row written in the transaction of the act it tells of, sent after commit."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from portal.accounts.addresses import AddressField


class OutgoingMail(models.Model):
    to = AddressField()
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="mails"
    )
    about = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="mails_about",
        help_text="Whom it names, beside its reader: erasing one of them clears it.",
    )
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="mails_caused",
        help_text="The person whose act sent it, where that act is limited.",
    )
    template = models.CharField(max_length=80)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    last_error = models.TextField(blank=True)
    forget = models.BooleanField(
        default=False, help_text="Its address and text are cleared as soon as it left."
    )

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(sent_at=None), name="mail_waiting"
            ),
            models.Index(fields=["to", "created_at"], name="mail_to"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} → {self.to}"

    def clear(self) -> None:
        """Only that it was, and when, is left."""
        self.to = self.subject = self.body = self.last_error = ""
