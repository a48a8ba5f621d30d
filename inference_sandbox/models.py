"""A run: a prompt, its parameters, its output, and all that is needed to do it again."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from access_requests.models import Grant
from distribution.models import Revision
from portal.catalog.models import Release

SCREEN, SCREEN_LINES = 1200, 18  # characters and line ends that a page shows unfolded


class Job(models.Model):
    """Runs that were asked for together: the answers to one request, a comparison, a sweep."""

    class Kind(models.TextChoices):
        COMPLETION = "completion", "a request over the API"
        COMPARISON = "comparison", "a comparison"
        SWEEP = "sweep", "a sweep"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="jobs")
    kind = models.CharField(max_length=10, choices=Kind)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"job {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("inference_sandbox:job", args=[self.pk])


class Run(models.Model):
    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    class Mode(models.TextChoices):
        PLAIN = "plain", "plain text, continued"
        CHAT = "chat", "a conversation, with the model's template"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="runs")
    grant = models.ForeignKey(Grant, models.PROTECT, related_name="runs")
    release = models.ForeignKey(Release, models.PROTECT, related_name="runs")
    revision = models.ForeignKey(Revision, models.PROTECT, related_name="runs")

    job = models.ForeignKey(Job, models.CASCADE, null=True, blank=True, related_name="runs")
    position = models.PositiveIntegerField(default=0)  # in its job
    # Another run that this one goes on from (a branch), or does again.
    parent = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="branches"
    )
    repeats = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="repetitions"
    )

    mode = models.CharField(max_length=5, choices=Mode, default=Mode.PLAIN)
    prompt = models.TextField(blank=True)  # the text; in a conversation what was said last
    messages = models.JSONField(default=list, blank=True)  # [{role, content}] of a conversation
    prompt_ids = models.JSONField(default=list, blank=True)  # tokens, where they came in its stead
    forced = models.JSONField(default=list, blank=True)  # tokens that the answer had to begin with

    max_tokens = models.PositiveIntegerField(default=256)  # 0: the prompt alone was read
    temperature = models.FloatField(default=0.7)
    top_k = models.PositiveIntegerField(default=0)
    top_p = models.FloatField(default=0.95)
    min_p = models.FloatField(default=0.0)
    repetition_penalty = models.FloatField(default=1.0)
    presence_penalty = models.FloatField(default=0.0)
    frequency_penalty = models.FloatField(default=0.0)
    logit_bias = models.JSONField(default=dict, blank=True)  # token id → what is added
    stop = models.JSONField(default=list, blank=True)
    stop_token_ids = models.JSONField(default=list, blank=True)  # tokens that end the answer
    min_tokens = models.PositiveIntegerField(default=0)  # before so many nothing ends it
    seed = models.BigIntegerField()
    ignore_eos = models.BooleanField(default=False)
    logprobs = models.PositiveSmallIntegerField(null=True, blank=True)
    prompt_logprobs = models.PositiveSmallIntegerField(null=True, blank=True)
    repeatable = models.BooleanField(default=False)  # computed alone, in no batch
    keep = models.BooleanField(default=True)  # answered also when nobody watches any more
    shared = models.BooleanField(default=False)  # with whoever may prompt the same release
    note = models.TextField(blank=True)  # the person's own words about it

    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    output = models.TextField(blank=True)
    output_ids = models.JSONField(default=list, blank=True)  # the tokens that it is made of
    finish_reason = models.CharField(max_length=12, blank=True)
    error = models.TextField(blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_second = models.FloatField(null=True, blank=True)
    first_token_seconds = models.FloatField(null=True, blank=True)  # from its creation
    engine = models.CharField(
        max_length=120, blank=True, help_text="Engine version, dtype and device."
    )

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    emptied_at = models.DateTimeField(null=True, blank=True)  # what was written is gone since then
    deleted_at = models.DateTimeField(null=True, blank=True)  # its person wants it gone

    class Meta:
        ordering = ("-created_at",)
        indexes = [
            models.Index(fields=["account", "-created_at"], name="run_history"),
            models.Index(fields=["status", "created_at"], name="run_unfinished"),
            models.Index(fields=["emptied_at", "created_at"], name="run_retention"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("inference_sandbox:run", args=[self.pk])

    @property
    def is_over(self) -> bool:
        return self.status in (self.Status.FINISHED, self.Status.FAILED, self.Status.CANCELLED)

    @property
    def is_long(self) -> bool:
        """Whether its prompt would fill more than a screen."""
        return len(self.prompt) > SCREEN or self.prompt.count("\n") > SCREEN_LINES

    @property
    def conversation(self) -> list[dict[str, str]]:
        """All that was said before the answer, in mode chat."""
        return self.messages or [{"role": "user", "content": self.prompt}]

    @property
    def ending(self) -> str:
        """The finish reason in words."""
        return ENDINGS.get(self.finish_reason, "")


class RunTokens(models.Model):
    """What the model thought of a run's tokens, one by one, where that was asked.

    Each a list of records `[token id, text, logprob, entropy, [[token id, text, logprob], …]]`;
    logprob and entropy are null for a token that nothing precedes, or that was forced.
    """

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="tokens")
    prompt: Any = models.JSONField(default=list)
    output: Any = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"tokens of {self.run_id}"


class Quota(models.Model):
    """What a manager allows one grant in the sandbox, where it is not what everybody has."""

    grant = models.OneToOneField(Grant, models.CASCADE, primary_key=True, related_name="quota")
    tokens_per_day = models.PositiveIntegerField()
    simultaneous = models.PositiveIntegerField(help_text="Requests waiting or running at once.")

    def __str__(self) -> str:
        return f"quota of {self.grant_id}"


class DayOfUse(models.Model):
    """The tokens that a grant has used on one day (UTC): read of prompts, and written."""

    grant = models.ForeignKey(Grant, models.CASCADE, related_name="days_of_use")
    day = models.DateField()
    tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["grant", "day"], name="one_day_of_use")]

    def __str__(self) -> str:
        return f"{self.tokens} tokens of {self.grant_id} on {self.day}"


class Report(models.Model):
    """An output that somebody finds harmful, told to the managers with the run attached."""

    class Kind(models.TextChoices):
        BIAS = "bias", "bias"
        TOXICITY = "toxicity", "toxicity"
        PRIVACY = "privacy", "a person's private data"
        FALSEHOOD = "falsehood", "falsehood"
        OTHER = "other", "something else"

    run = models.ForeignKey(Run, models.PROTECT, related_name="reports")
    reporter = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="sandbox_reports"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    text = models.TextField(help_text="What is wrong with it.")
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    answer = models.TextField(blank=True, help_text="What came of it; the reporter reads it.")

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"report {self.pk} on run {self.run_id}"

    def get_absolute_url(self) -> str:
        return reverse("admin:inference_sandbox_report_change", args=[self.pk])

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.reporter_id, self.run.account_id}


ENDINGS = {
    "stop": "The answer came to its end, or to a stop string.",
    "length": "The answer reached its limit: the most tokens you asked for, or the context's end.",
    "cancelled": "It was cancelled.",
    "unread": "Nobody was reading the answer any more, so it was stopped.",
    "refused": "It was stopped: your grant does not open this release any more.",
    "error": "Something went wrong on the worker.",
}
