"""What managers set: how decisions are made, which reasons are at hand, who is shut out."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from portal.catalog.models import Family, Release
from portal.names import NameField

DEFAULT_TARGET_DAYS = 14
DEFAULT_MAX_GRANT_DAYS = 3 * 366


class DecisionPolicy(models.Model):
    """How a release is decided on. Without a row: one approval, no checklist, nobody who vouches."""

    class Approvals(models.IntegerChoices):
        ONE = 1, "1: one reviewer decides"
        TWO = 2, "2: two different people approve"

    release = models.OneToOneField(Release, models.CASCADE, related_name="decision_policy")
    approvals = models.PositiveSmallIntegerField(
        "required approvals", choices=Approvals, default=Approvals.ONE
    )
    checklist = models.TextField(
        blank=True,
        help_text="One item a line. An approval needs every item ticked; the ticks are kept.",
    )

    asks_official = models.BooleanField(
        "ask for a signing official",
        default=False,
        help_text="The applicant names a person with authority at their institution, who confirms "
        "over a mailed link. No approval without it, unless a manager goes without.",
    )
    asks_referee = models.BooleanField(
        "ask for a referee",
        default=False,
        help_text="The applicant names a colleague, who answers three questions over a mailed "
        "link. No approval without it, unless a manager goes without.",
    )
    max_grant_days = models.PositiveSmallIntegerField(
        "longest grant, in days",
        default=DEFAULT_MAX_GRANT_DAYS,
        validators=[MinValueValidator(1), MaxValueValidator(3660)],
        help_text="No approval and no renewal lets a grant run longer than this from the day of the decision.",
    )
    second_looks = models.PositiveSmallIntegerField(
        "random second looks, in %",
        default=0,
        validators=[MaxValueValidator(100)],
        help_text="So many of a hundred decisions are looked at again by another reviewer who does "
        "not know the decision. Nothing changes for the applicant; the fairness page counts.",
    )

    class Meta:
        verbose_name_plural = "decision policies"

    def __str__(self) -> str:
        return f"Decisions on {self.release.name}"

    @property
    def items(self) -> list[str]:
        return [line.strip() for line in self.checklist.splitlines() if line.strip()]


class ReviewTarget(models.Model):
    """How soon applications of a family should be decided."""

    family = models.OneToOneField(Family, models.CASCADE, related_name="review_target")
    days = models.PositiveSmallIntegerField(
        default=DEFAULT_TARGET_DAYS, validators=[MinValueValidator(1)]
    )

    def __str__(self) -> str:
        return f"{self.family.name}: {self.days} days"


class ReasonTemplate(models.Model):
    """A reason for a refusal that reviewers can choose instead of writing it again."""

    title = NameField(max_length=80, unique=True)
    text = models.TextField(max_length=3000, help_text="Told to the applicant.")
    family = models.ForeignKey(
        Family,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="reason_templates",
        help_text="Offered for this family only; for all when empty.",
    )
    is_active = models.BooleanField("offered", default=True)

    class Meta:
        ordering = ("title",)

    def __str__(self) -> str:
        return self.title


class Block(models.Model):
    """A person, or everybody of a mail domain, may not apply for a family."""

    family = models.ForeignKey(Family, models.PROTECT, related_name="blocks")
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="blocks"
    )
    domain = models.CharField(
        "mail domain",
        max_length=253,
        blank=True,
        validators=[
            RegexValidator(
                r"^([a-z0-9-]+\.)+[a-z0-9-]+$", "Write the domain alone, such as mail.example.org."
            )
        ],
        help_text="Also every domain below it.",
    )
    reason = models.TextField(help_text="Told to the person who is refused.")
    ends_at = models.DateTimeField("until", null=True, blank=True, help_text="Empty: no end.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=models.Q(account__isnull=False) ^ ~models.Q(domain=""),
                name="block_names_a_person_or_a_domain",
            )
        ]

    def __str__(self) -> str:
        return f"{self.domain or self.account} from {self.family.name}"

    @property
    def is_running(self) -> bool:
        return self.ends_at is None or self.ends_at > timezone.now()


class BlockedAddress(models.Model):
    """An address of a blocked person who was erased, as a keyed hash: the block holds on."""

    block = models.ForeignKey(Block, models.CASCADE, related_name="addresses")
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["block", "digest"], name="one_digest_per_block")
        ]

    def __str__(self) -> str:
        return f"an address of block {self.block_id}"


class SavedFilter(models.Model):
    """A reviewer's own name for a way to look at the queue."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_filters"
    )
    name = NameField(max_length=40)
    query = models.CharField(max_length=500)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="one_filter_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name
