"""Who is told of events over HTTP, what waits for them, and what came of each attempt."""

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from portal.audit.models import Event
from portal.names import NameField


class Subscription(models.Model):
    """One receiver. Its events are numbered without a gap, and sent one after another in that order."""

    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=80)
    url = models.CharField("address", max_length=500)
    verbs = models.JSONField(default=list, help_text="What it wants to hear of; none named is all.")
    # Encrypted under SECRET_KEY: a copy of the database alone signs nothing.
    secret = models.TextField()
    former_secret = models.TextField(blank=True)
    former_until = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)

    taken_seal = models.PositiveBigIntegerField(help_text="Events of seals up to it are numbered.")
    queued = models.PositiveBigIntegerField(default=0, help_text="The last number given.")
    delivered = models.PositiveBigIntegerField(default=0, help_text="The last number delivered.")
    failures = models.PositiveIntegerField(default=0, help_text="Of the next one, in a row.")
    failing_since = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True, help_text="When managers were told.")
    next_attempt_at = models.DateTimeField(default=timezone.now)
    lease = models.CharField(max_length=32, blank=True, help_text="Of the one who delivers now.")
    leased_until = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("name", "id")
        verbose_name = "webhook"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:webhooks_subscription_change", args=[self.pk])

    @property
    def waiting(self) -> int:
        return self.queued - self.delivered

    def message_id(self, sequence: int) -> str:
        """The same for each attempt, also when it is delivered again: receivers tell repeats by it."""
        return f"msg_{self.public_id.hex}_{sequence}"


class Delivery(models.Model):
    """The place of one event in the line of one subscription."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="deliveries")
    sequence = models.PositiveBigIntegerField()
    event = models.ForeignKey(Event, models.DO_NOTHING, db_constraint=False, related_name="+")
    queued_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("subscription", "sequence")
        constraints = [
            models.UniqueConstraint(fields=["subscription", "sequence"], name="one_event_a_number")
        ]

    def __str__(self) -> str:
        return f"{self.sequence} to {self.subscription_id}"


class Attempt(models.Model):
    """One request that was sent, or that was not because of where it would have gone."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="attempts")
    sequence = models.PositiveBigIntegerField(null=True, help_text="None for a test.")
    verb = models.CharField(max_length=40)
    at = models.DateTimeField(auto_now_add=True)
    took_ms = models.PositiveIntegerField()
    status = models.PositiveIntegerField(null=True, help_text="None when nothing answered.")
    answer = models.TextField(blank=True, help_text="The first bytes of the answer.")
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = [models.Index(fields=["subscription", "-id"], name="attempts_of")]

    def __str__(self) -> str:
        return f"{self.sequence} to {self.subscription_id}: {self.error or self.status}"
