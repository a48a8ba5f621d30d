"""What is published, and every time it left or was refused."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from access_requests.models import Grant
from distribution.hashing import CHUNK_SIZE
from distribution.manifest import Entry
from distribution.stores.base import key_of
from distribution.tallies import (
    Alarm,
    DayUse,
    FileUse,
    LinkTerms,
    NetworkList,
    NetworkRange,
    Quota,
)
from portal.catalog.models import Release

__all__ = [
    "Alarm",
    "Artifact",
    "DayUse",
    "Download",
    "FileUse",
    "LinkTerms",
    "NetworkList",
    "NetworkRange",
    "Quota",
    "Revision",
]


class Revision(models.Model):
    """An immutable set of files, named by the first 40 hex digits of the SHA-256 of its list of
    files. The current one is what the branch `main` means.
    """

    class Layout(models.TextChoices):
        ORIGINAL = "original", "original LLaMA layout (params.json, consolidated.NN.pth)"
        SAFETENSORS = "safetensors", "safetensors (config.json, model*.safetensors)"
        OTHER = "other", "another form (GGUF, an adapter, …)"

    release = models.ForeignKey(Release, models.PROTECT, related_name="revisions")
    digest = models.CharField(max_length=40)
    layout = models.CharField(max_length=12, choices=Layout)
    # What the weights say of themselves, by field of the release (checkpoints/facts.py).
    facts = models.JSONField(default=dict)
    # Why the sandbox cannot run it, by part of the set (sandbox_notes.py). Empty: it can.
    sandbox_notes = models.JSONField(default=dict)
    is_current = models.BooleanField(default=False)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    taken_down_at = models.DateTimeField(null=True, blank=True)
    taken_down_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["release", "digest"], name="one_revision_per_digest"),
            models.UniqueConstraint(
                fields=["release"], condition=models.Q(is_current=True), name="one_current_revision"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release.repo_id}@{self.digest[:12]}"

    @property
    def sandbox_note(self) -> str:
        """One sentence on why the sandbox cannot run it; empty where it can.

        Another server may well run what our engine does not, but not without the tokenizer, which is ours.
        """
        parts = ("tokenizer",) if settings.SANDBOX_ENGINE_URL else ("model", "tokenizer")
        causes = [self.sandbox_notes[part] for part in parts if part in self.sandbox_notes]
        return f"The sandbox cannot run this because {causes[0]}" if causes else ""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(artifact.size for artifact in self.artifacts.all())


class Artifact(models.Model):
    """One file of a revision. Its bytes lie in the store under its SHA-256."""

    revision = models.ForeignKey(Revision, models.PROTECT, related_name="artifacts")
    path = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    # 32 bytes for each chunk of hashing.CHUNK_SIZE, one behind the other. Empty for an empty file, and
    # for one that was published before chunks were kept: publishing it again fills them in.
    chunk_digests = models.BinaryField(default=b"", editable=False)

    class Meta:
        ordering = ("path",)
        constraints = [
            models.UniqueConstraint(fields=["revision", "path"], name="one_artifact_per_path")
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def store_key(self) -> str:
        return key_of(self.sha256)

    @classmethod
    def of(cls, revision: Revision, entry: Entry) -> "Artifact":
        """The row, not yet saved, of a file of the revision."""
        digests = bytes.fromhex("".join(entry.chunks))
        return cls(
            revision=revision,
            path=entry.path,
            size=entry.size,
            sha256=entry.sha256,
            chunk_digests=digests,
        )

    @property
    def chunks(self) -> tuple[str, ...]:
        """The SHA-256 of each chunk, in hex; () too where they are not known."""
        if 0 < self.size <= CHUNK_SIZE:  # its only chunk is the whole file
            return (self.sha256,)
        whole = bytes(self.chunk_digests).hex()
        return tuple(whole[start : start + 64] for start in range(0, len(whole), 64))

    @property
    def entry(self) -> Entry:
        """Its row of the manifest."""
        return Entry(self.path, self.size, self.sha256, self.chunks)


class Tag(models.Model):
    """A name that a manager gave to a revision, `v1` say. It is never moved to another."""

    release = models.ForeignKey(Release, models.PROTECT, related_name="tags")
    name = models.CharField(max_length=128)
    revision = models.ForeignKey(Revision, models.PROTECT, related_name="tags")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["release", "name"], name="one_revision_per_tag")
        ]

    def __str__(self) -> str:
        return self.name


class Download(models.Model):
    """One row for every request on a link, served or denied."""

    class Outcome(models.TextChoices):
        SERVED = "served", "served"
        REDIRECTED = "redirected", "handed to the store"
        HANDED_OVER = "handed", "handed to the proxy"
        DENIED = "denied", "denied"

    grant = models.ForeignKey(
        Grant, models.PROTECT, null=True, blank=True, related_name="downloads"
    )
    artifact = models.ForeignKey(
        Artifact, models.PROTECT, null=True, blank=True, related_name="downloads"
    )
    outcome = models.CharField(max_length=10, choices=Outcome)
    code = models.CharField(max_length=30, blank=True, help_text="Why it was denied.")
    method = models.CharField(max_length=8)
    first_byte = models.BigIntegerField(null=True, blank=True)
    bytes_asked = models.BigIntegerField(
        default=0, help_text="Length of the range that was asked for."
    )
    bytes_sent = models.BigIntegerField(
        null=True, blank=True, help_text="Known where we serve the bytes ourselves."
    )
    bytes_counted = models.BigIntegerField(
        default=0, help_text="Of these, the bytes that the copy under way did not have yet."
    )
    fresh = models.JSONField(default=list, help_text="Where in the file those lie.")
    terms = models.ForeignKey(LinkTerms, models.PROTECT, null=True, blank=True, related_name="+")
    busy_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then it holds a place among transfers at once."
    )
    network = models.CharField(
        max_length=43, blank=True, help_text="Of the address its first 24 bits, of IPv6 48."
    )
    user_agent = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=64)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(fields=["grant", "started_at"], name="download_of_grant"),
            models.Index(fields=["started_at"], name="download_started"),
            models.Index(
                fields=["grant", "busy_until"],
                name="download_running",
                condition=models.Q(busy_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.artifact_id} at {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def came_of_it(self) -> str:
        """Whether it arrived whole, as well as that is known."""
        if self.outcome == self.Outcome.DENIED:
            return f"denied: {self.code}"
        if self.outcome != self.Outcome.SERVED:
            return self.get_outcome_display()
        if self.method == "HEAD":
            return "asked about"
        if self.bytes_sent is None:
            return (
                "running" if self.busy_until and self.busy_until > timezone.now() else "not known"
            )
        if self.code:
            return f"stopped: {self.code}"
        return "whole" if self.bytes_sent == self.bytes_asked else "cut"
