"""The questions of a family."""

from django.db import models

from portal.catalog.models import Family


class Form(models.Model):
    """One version of a family's questions; frozen as soon as an application answers it.

    `questions` is a list of `access_requests.questions.Question`.
    """

    family = models.ForeignKey(Family, models.PROTECT, related_name="forms")
    version = models.PositiveIntegerField()
    questions = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("family", "-version")
        constraints = [
            models.UniqueConstraint(fields=["family", "version"], name="one_version_per_family")
        ]

    def __str__(self) -> str:
        return f"{self.family.name} form, version {self.version}"

    @property
    def is_frozen(self) -> bool:
        return self.applications.exists()
