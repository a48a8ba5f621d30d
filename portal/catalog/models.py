"""What there is to ask for: families, their releases, and the licences they come under."""

import hashlib
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Upper
from django.urls import reverse
from django.utils import timezone

from portal.names import NameField

REPO_ID = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$",
    "A repo id is publisher/name, for example meta/llama-7b.",
)


class Licence(models.Model):
    slug = models.SlugField(unique=True)
    name = NameField(max_length=120)
    summary = models.TextField(blank=True, help_text="In plain words, what it allows and forbids.")

    def __str__(self) -> str:
        return self.name

    @property
    def current(self) -> "LicenceVersion":
        """The version in force: the newest published one."""
        return self.versions.filter(published_at__lte=timezone.now()).latest("number")


class LicenceVersion(models.Model):
    """One text, never changed once published; a grant names the version that its holder accepted."""

    class Standing(models.TextChoices):
        """What a new version does to grants that stand under an older one."""

        KEEP = "keep", "keep: they stand"
        REACCEPT = "reaccept", "re-accept: they stand for some days, then wait for acceptance"
        SUSPEND = "suspend", "suspend: they wait for acceptance at once"

    licence = models.ForeignKey(Licence, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    sha256 = models.CharField(max_length=64, editable=False)
    published_at = models.DateTimeField(default=timezone.now)
    standing_grants = models.CharField(max_length=10, choices=Standing, default=Standing.KEEP)
    reaccept_days = models.PositiveIntegerField(default=30, validators=[MaxValueValidator(3650)])

    class Meta:
        ordering = ("licence", "-number")
        constraints = [
            models.UniqueConstraint(fields=["licence", "number"], name="one_number_per_licence")
        ]

    def __str__(self) -> str:
        return f"{self.licence.name}, version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.sha256 = hashlib.sha256(self.text.encode()).hexdigest()
        super().save(*args, **kwargs)


class Family(models.Model):
    slug = models.SlugField(unique=True)
    name = NameField(max_length=80)
    publisher = models.CharField(max_length=80)
    summary = models.TextField(blank=True)
    licence = models.ForeignKey(Licence, models.PROTECT, related_name="families")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("position", "name")
        verbose_name_plural = "families"

    def __str__(self) -> str:
        return self.name


class Release(models.Model):
    """One model of a family, known by its repo id (`meta/llama-7b`)."""

    class Status(models.TextChoices):
        ANNOUNCED = "announced", "announced: weights not published here"
        PUBLISHED = "published", "published"
        WITHDRAWN = "withdrawn", "withdrawn"

    class Metadata(models.TextChoices):
        """Who may read what is known of the files: names, sizes, hashes, revisions."""

        PUBLIC = "public", "public: everybody may read names, sizes and hashes of the files"
        PRIVATE = "private", "private: whoever holds a grant, and reviewers"

    family = models.ForeignKey(Family, models.PROTECT, related_name="releases")
    repo_id = models.CharField("repo id", max_length=193, unique=True, validators=[REPO_ID])
    slug = models.SlugField(max_length=100, unique=True)
    name = NameField(max_length=80)
    summary = models.CharField(max_length=300, blank=True)
    model_card = models.TextField("model card", blank=True, help_text="Markdown.")
    status = models.CharField(max_length=10, choices=Status, default=Status.ANNOUNCED)

    metadata = models.CharField(
        "metadata of the files",
        max_length=8,
        choices=Metadata,
        default=Metadata.PUBLIC,
        help_text="For others than its holders and applicants, a release with private metadata is not "
        "there at all for hub clients. Its page in the catalogue stays: one applies there.",
    )

    # Announced by hand; publishing fills them in from the weights, and corrects them on request.
    parameters = models.BigIntegerField(null=True, blank=True, help_text="Number of parameters.")
    dimension = models.PositiveIntegerField(null=True, blank=True)
    heads = models.PositiveIntegerField(null=True, blank=True)
    layers = models.PositiveIntegerField(null=True, blank=True)
    training_tokens = models.BigIntegerField(null=True, blank=True)
    model_parallel = models.PositiveIntegerField("model-parallel shards", default=1)
    context_length = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")

    link_hours = models.PositiveIntegerField(
        default=24,
        help_text="How long a download link lives.",
        validators=[MinValueValidator(1), MaxValueValidator(24 * 365)],
    )
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("family__position", "position", "repo_id")
        constraints = [
            models.UniqueConstraint(
                Upper("repo_id"),
                name="one_release_per_repo_id_in_any_case",
                violation_error_message="Another release has this repo id, perhaps in another case.",
            )
        ]

    def __str__(self) -> str:
        return self.repo_id

    def get_absolute_url(self) -> str:
        return reverse("catalog:release", args=[self.slug])

    @property
    def is_published(self) -> bool:
        return self.status == self.Status.PUBLISHED
