"""A rule that a manager writes, by which applications of little risk are approved at once."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from portal.catalog.models import Family, Release
from portal.names import NameField


class AutomaticRule(models.Model):
    """Which evidence has to support an application for the sandbox to open without a person.

    It never gives more than the sandbox. Each rule has an account of its own, which nobody can sign
    in with: its decisions stand in every place where a reviewer's name would.
    """

    family = models.ForeignKey(Family, models.PROTECT, related_name="automatic_rules")
    releases = models.ManyToManyField(
        Release,
        blank=True,
        related_name="automatic_rules",
        help_text="Only applications for these; for all of the family when empty.",
    )
    name = NameField(
        max_length=60, unique=True, help_text="Reviewers read: approved by the rule “…”."
    )
    conditions = models.JSONField(
        default=list, help_text="The keys of the checks that all have to support."
    )
    grant_days = models.PositiveSmallIntegerField(
        "days of the grant",
        default=90,
        validators=[MinValueValidator(1), MaxValueValidator(366)],
    )
    is_active = models.BooleanField("in force", default=False)
    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="automatic_rule", editable=False
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
