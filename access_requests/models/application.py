"""An application and what gathers around it: reviews, messages, licence acceptances."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce
from django.urls import reverse

from access_requests.models.form import Form
from access_requests.workflow import OPEN_STATES, State
from portal.catalog.models import Family, LicenceVersion, Release
from portal.names import NameField

# From when the age of an application counts: its appeal, or its first submission. For queries and indexes; in Python it
# is `waits_since`.
WAITS = Coalesce("appealed_at", "submitted_at")


class LicenceAcceptance(models.Model):
    """A person typed their name under one licence text. Kept for ever; grants point to it."""

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="acceptances"
    )
    licence_version = models.ForeignKey(LicenceVersion, models.PROTECT, related_name="acceptances")
    typed_name = NameField(max_length=150)
    text_sha256 = models.CharField(max_length=64)
    accepted_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.typed_name}: {self.licence_version}"


class Application(models.Model):
    """One person's request for releases of one family, decided case by case."""

    applicant = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="applications"
    )
    family = models.ForeignKey(Family, models.PROTECT, related_name="applications")
    form = models.ForeignKey(Form, models.PROTECT, related_name="applications")
    releases = models.ManyToManyField(Release, related_name="applications")
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    answers = models.JSONField(default=dict)
    carried = models.JSONField(
        default=dict,
        blank=True,
        help_text="What became of a draft's answers when they came from another form or "
        "application: {source, new: [key], changed: [key], dropped: [[label, answer]]}. "
        "Emptied at submission.",
    )
    search_text = models.TextField(
        blank=True,
        help_text="What the search reads (services/searching.py); empty for a draft.",
    )
    affiliation = models.JSONField(
        default=dict, help_text="The affiliation as it was when submitted."
    )
    institution_key = models.CharField(
        max_length=200, blank=True, help_text="The institution's name as names are compared."
    )
    ror = models.CharField(
        max_length=20,
        blank=True,
        help_text="The ROR id of the institution, by its mail domain or name, when submitted.",
    )
    prepared_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the evidence that takes time was looked up and the rules were asked.",
    )
    left_by_rules = models.JSONField(
        default=list,
        blank=True,
        help_text="Which automatic rules left it to people, and why: [[rule, why]].",
    )
    category = models.CharField(
        max_length=40, blank=True, help_text="The affiliation's, to filter by."
    )
    acceptance = models.ForeignKey(
        LicenceAcceptance, models.PROTECT, null=True, blank=True, related_name="applications"
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="claimed_applications",
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="decided_applications",
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)
    apply_again_from = models.DateTimeField(
        null=True, blank=True, help_text="After a refusal: no new application before it."
    )
    appeal = models.TextField(blank=True, help_text="Why the applicant asks another reviewer.")
    appealed_at = models.DateTimeField(null=True, blank=True, help_text="Once; null: never.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    submitted_at = models.DateTimeField(
        null=True, blank=True, help_text="First submission; the age counts from it."
    )

    class Meta:
        ordering = ("-id",)
        constraints = [
            # Two clicks, two tabs or two programs at once still make one application.
            models.UniqueConstraint(
                fields=["applicant", "family"],
                condition=models.Q(state__in=sorted(OPEN_STATES)),
                name="one_open_application_per_family",
            )
        ]
        indexes = [
            models.Index("state", WAITS, name="application_queue"),
            models.Index(
                fields=["institution_key", "state", "applicant"], name="application_institution"
            ),
            models.Index(fields=["ror", "state", "applicant"], name="application_ror"),
            models.Index(
                fields=["updated_at"],
                condition=models.Q(prepared_at=None),
                name="application_unprepared",
            ),
            models.Index(WAITS, "id", name="application_age"),
            # Holds all that the time to a decision is counted from.
            models.Index("category", WAITS, "id", name="application_category"),
            models.Index("family", "state", WAITS, name="application_family"),
            models.Index(
                fields=["state", "decided_at", "submitted_at", "appealed_at"],
                name="application_times",
            ),
            models.Index(
                fields=["appealed_at"],
                condition=models.Q(appealed_at__isnull=False),
                name="application_appealed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.family.name}"

    def get_absolute_url(self) -> str:
        return reverse("access_requests:application", args=[self.pk])

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.applicant_id}

    @property
    def waits_since(self) -> datetime | None:
        """From when its age counts: the appeal, or the first submission."""
        return self.appealed_at or self.submitted_at

    @property
    def reference(self) -> str:
        """What people quote in mails."""
        return f"WB-{self.pk:06d}"


class Review(models.Model):
    """One reviewer's claim on an application, and what came of it."""

    class Outcome(models.TextChoices):
        OPEN = "", "open"
        RELEASED = "released", "given back"
        RETURNED = "returned", "returned for correction"
        APPROVED = "approved", "approved"
        REFUSED = "refused", "refused"
        WITHDRAWN = "withdrawn", "withdrawn by the applicant"
        ENDORSED = "endorsed", "approved, and waiting for a second approval"
        HANDED_ON = "handed_on", "handed to another reviewer"
        RECUSED = "recused", "given up for a conflict of interest"

    application = models.ForeignKey(Application, models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="reviews")
    claimed_at = models.DateTimeField(auto_now_add=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN, blank=True)
    reason = models.TextField(blank=True, help_text="Told to the applicant.")
    note = models.TextField(blank=True, help_text="For reviewers only.")
    evidence = models.JSONField(
        default=list, help_text="The evidence that was on screen at the decision."
    )
    checklist = models.JSONField(
        default=list, help_text="The checklist at the decision: a list of {item, ticked}."
    )
    terms = models.JSONField(default=dict, help_text="What a first of two approvals was given for.")
    closed_at = models.DateTimeField(null=True, blank=True)
    # Of a decision: what the fairness page groups and measures, so that it reads no application.
    category = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    days = models.FloatField(
        null=True, blank=True, help_text="From the submission, or the appeal, to the decision."
    )

    class Meta:
        ordering = ("id",)
        indexes = [
            # Holds all that the fairness page reads.
            models.Index(
                fields=["closed_at", "outcome", "category", "region", "reviewer", "days"],
                name="review_decisions",
            )
        ]

    def __str__(self) -> str:
        return f"{self.application.reference} by {self.reviewer}"


class Message(models.Model):
    """A line from one side to the other, on the application; a return for correction is one.

    What reviewers write among themselves is a `Note`: another table, so that no page, mail or
    answer that lists messages can show one by mistake.
    """

    application = models.ForeignKey(Application, models.PROTECT, related_name="messages")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    body = models.TextField()
    is_return = models.BooleanField(default=False)
    answers_before = models.JSONField(
        default=dict, help_text="The answers when it was returned, to show afterwards what changed."
    )
    affiliation_before = models.JSONField(default=dict, help_text="Likewise the affiliation.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.application.reference}, {self.created_at:%Y-%m-%d}"
