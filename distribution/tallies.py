"""How much was used: of a file under a grant, on a day, through a link; and how much may be.

`distribution.models` names these tables too. They change for other reasons than what is published.
"""

from typing import Any

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse

from access_requests.models import Grant
from distribution import coverage
from distribution.coverage import Piece
from distribution.sizes import human
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

# Where a proxy or a store sends the bytes we see requests and not what came of them. A resume asks for the rest
# of the file each time, so that many times its bytes may be asked for again before it is another copy.
MOST_REPEATS = 10


class Coverage(models.Model):
    """The copies of one file that were begun, and which bytes of the newest one are out.

    A copy is every byte once. Bytes that are asked for again while it is incomplete, or from the middle of a
    complete one, are a resume or a repair, and part of the same copy; until they would make a copy.
    """

    copies = models.PositiveIntegerField(default=0, help_text="Copies begun.")
    completed = models.PositiveIntegerField(default=0, help_text="Copies that went out whole.")
    is_whole = models.BooleanField(default=False, help_text="The newest one is among those.")
    pieces = models.JSONField(default=list, help_text="Bytes of the newest copy that are out.")
    repeated = models.BigIntegerField(default=0, help_text="Bytes of it that left again.")

    CHANGING = ("copies", "completed", "is_whole", "pieces", "repeated")

    class Meta:
        abstract = True

    def begins_another(self, start: int, length: int, size: int, *, counted: bool) -> bool:
        """Whether a request for `length` bytes from byte `start` on begins a copy beside those there are.

        counted: we send them ourselves and know how many were sent.
        """
        if not self.copies:
            return True
        is_whole = coverage.total(self.pieces) >= size
        first_again = start == 0 and bool(self.pieces) and self.pieces[0][0] == 0
        again = coverage.total(coverage.common(_asked(start, length), self.pieces))
        most = size if counted else MOST_REPEATS * size
        return (first_again and is_whole) or (again > 0 and self.repeated + again > most)

    def begin_another(self) -> None:
        self.copies += 1
        self.pieces, self.repeated, self.is_whole = [], 0, False

    def take(self, start: int, length: int) -> list[Piece]:
        """Note that these bytes go out; returns those of them that the copy had not."""
        asked = _asked(start, length)
        fresh = coverage.without(asked, self.pieces)
        self.repeated += length - coverage.total(fresh)
        self.pieces = coverage.union([*self.pieces, *asked])
        return fresh

    def give_back(self, fresh: list[Piece], start: int, length: int, sent: int) -> int:
        """A transfer ended after `sent` of `length` bytes; returns how many fresh bytes were not sent."""
        unsent = [[start + sent, start + length]] if sent < length else []
        unsent_fresh = coverage.common(fresh, unsent)
        lost = coverage.total(unsent_fresh)
        self.pieces = coverage.without(self.pieces, unsent_fresh)
        self.repeated = max(0, self.repeated - (coverage.total(unsent) - lost))
        return lost

    def note_whole(self, size: int) -> None:
        """Every byte of the newest copy is out, or on its way; or not any more."""
        is_whole = coverage.total(self.pieces) >= size
        self.completed += is_whole - self.is_whole
        self.is_whole = is_whole


def _asked(start: int, length: int) -> list[Piece]:
    return [[start, start + length]] if length else []


class FileUse(Coverage):
    """What became of one file under one grant."""

    grant = models.ForeignKey(Grant, models.PROTECT, related_name="file_uses")
    artifact = models.ForeignKey("distribution.Artifact", models.PROTECT, related_name="uses")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["grant", "artifact"], name="one_use_of_a_file")
        ]

    def __str__(self) -> str:
        return f"artifact {self.artifact_id} under grant {self.grant_id}: {self.copies}"


class DayUse(models.Model):
    """Bytes that left under a grant on a day (UTC), each byte of a copy once."""

    grant = models.ForeignKey(Grant, models.PROTECT, related_name="day_uses")
    day = models.DateField()
    counted = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["grant", "day"], name="one_use_of_a_day")]

    def __str__(self) -> str:
        return f"grant {self.grant_id} on {self.day}: {self.counted}"


class LinkTerms(models.Model):
    """What a link is bound to beside its grant, file and time. A link without terms has no row.

    A use is an opening, of the whole file or of a part: what came of it we cannot always know.
    """

    grant = models.ForeignKey(Grant, models.PROTECT, related_name="+")
    artifact = models.ForeignKey("distribution.Artifact", models.PROTECT, related_name="+")
    network = models.CharField(max_length=43, blank=True, help_text="CIDR; empty: any.")
    uses = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: any number.")
    openings = models.PositiveIntegerField(default=0, help_text="How often it was opened.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"terms {self.pk} of a link under grant {self.grant_id}"

    def require_unused(self) -> None:
        """Raise the Refusal USED_UP where it was opened as often as it may."""
        if self.uses is not None and self.openings >= self.uses:
            times = "once" if self.uses == 1 else f"{self.uses} times"
            raise Refusal(
                Code.USED_UP,
                f"This link opens {times}, and it was opened {times} already.",
                "Get a new one on the files page of the release, or from the person who gave you this one. A link "
                "with a number of uses does not resume a download that was cut.",
            )


class Quota(models.Model):
    """What a manager set for a release, or for one grant in its place. Empty: as the release, then the site,
    has it.
    """

    release = models.OneToOneField(
        Release, models.PROTECT, null=True, blank=True, related_name="download_quota"
    )
    grant = models.OneToOneField(
        Grant, models.PROTECT, null=True, blank=True, related_name="download_quota"
    )
    bytes_per_day = models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    copies = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    transfers = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(release=None, grant__isnull=False)
                | models.Q(release__isnull=False, grant=None),
                name="quota_of_a_release_or_a_grant",
            )
        ]

    def __str__(self) -> str:
        return f"quota of {'release' if self.release_id else 'grant'} {self.release_id or self.grant_id}"

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("bytes_per_day", "copies", "transfers")}


class Alarm(models.Model):
    """Something about the downloads under a grant that a manager should look at, until one did."""

    class Kind(models.TextChoices):
        NETWORKS = "networks", "many networks"
        DENIALS = "denials", "many denials"
        BURST = "burst", "a sudden burst"

    grant = models.ForeignKey(Grant, models.PROTECT, related_name="download_alarms")
    kind = models.CharField(max_length=10, choices=Kind)
    found = models.PositiveBigIntegerField(help_text="What was counted.")
    limit = models.PositiveBigIntegerField(help_text="From how much on it is an alarm.")
    raised_at = models.DateTimeField(auto_now_add=True)
    dismissed_at = models.DateTimeField(null=True, blank=True)
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    note = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["grant", "kind"],
                condition=models.Q(dismissed_at=None),
                name="one_standing_alarm_of_a_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} under grant {self.grant_id}"

    def get_absolute_url(self) -> str:
        return reverse("admin:distribution_alarm_change", args=[self.pk])

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.grant.account_id}

    @property
    def described(self) -> str:
        """What was found, as a sentence."""
        match self.kind:
            case self.Kind.NETWORKS:
                return f"Downloads came from {self.found} networks in a day; from {self.limit} on it is an alarm."
            case self.Kind.DENIALS:
                return f"{self.found} requests were denied in an hour; from {self.limit} on it is an alarm."
        return f"{human(self.found)} left in an hour; from {human(self.limit)} on it is an alarm."


class NetworkList(models.Model):
    """A loading of the table that says in which country a network is registered."""

    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    count = models.PositiveIntegerField(default=0)
    is_current = models.BooleanField(default=False)
    loaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    loaded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["is_current"], condition=models.Q(is_current=True), name="one_network_list"
            )
        ]

    def __str__(self) -> str:
        return f"{self.file_name}, {self.count} networks"


class NetworkRange(models.Model):
    """From one address to another, both as 32 hex digits (IPv4 mapped into IPv6), in one country."""

    of = models.ForeignKey(NetworkList, models.CASCADE, related_name="ranges")
    first = models.CharField(max_length=32)
    last = models.CharField(max_length=32)
    country = models.CharField(max_length=2)

    class Meta:
        indexes = [models.Index(fields=["of", "first"], name="network_by_first")]

    def __str__(self) -> str:
        return f"{self.first}-{self.last}: {self.country}"
