"""A run: a prompt, its parameters, its output, and all that is needed to do it again."""

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse

from access_requests.models import Grant
from distribution.models import Revision
from portal.catalog.models import Release


class Run(models.Model):
    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    class Mode(models.TextChoices):
        PLAIN = "plain", "plain text, continued"
        CHAT = "chat", "one chat turn, with the model's template"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="runs")
    grant = models.ForeignKey(Grant, models.PROTECT, related_name="runs")
    release = models.ForeignKey(Release, models.PROTECT, related_name="runs")
    revision = models.ForeignKey(Revision, models.PROTECT, related_name="runs")

    mode = models.CharField(max_length=5, choices=Mode, default=Mode.PLAIN)
    prompt = models.TextField()
    temperature = models.FloatField(default=0.7)
    top_p = models.FloatField(default=0.95)
    max_tokens = models.PositiveIntegerField(default=256)
    seed = models.BigIntegerField()

    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    output = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=12, blank=True)
    error = models.TextField(blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_second = models.FloatField(null=True, blank=True)
    engine = models.CharField(
        max_length=120, blank=True, help_text="Engine version, dtype and device."
    )

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = [models.Index(fields=["account", "-created_at"], name="run_history")]

    def __str__(self) -> str:
        return f"run {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("inference_sandbox:run", args=[self.pk])

    @property
    def is_over(self) -> bool:
        return self.status in (self.Status.FINISHED, self.Status.FAILED, self.Status.CANCELLED)

    @property
    def ending(self) -> str:
        """The finish reason in words."""
        return ENDINGS.get(self.finish_reason, "")


ENDINGS = {
    "stop": "The model ended its answer by itself.",
    "length": "The answer reached its limit: the most tokens you asked for, or the context's end.",
    "cancelled": "You cancelled it.",
    "refused": "It was stopped: your grant does not open this release any more.",
    "error": "Something went wrong on the worker.",
}
