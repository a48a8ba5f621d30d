"""What evidence is looked up in: lists that managers load, public records, and an index of answers."""

from django.conf import settings
from django.db import models

from access_requests.models.application import Application


class EvidenceList(models.Model):
    """One loading of a list. The rows of a list that was replaced are deleted; this line stays."""

    class Kind(models.TextChoices):
        INSTITUTIONS = "institutions", "Research institutions"
        LISTED = "listed", "Listed countries, persons and organisations"

    class Status(models.TextChoices):
        LOADING = "loading", "being loaded"
        CURRENT = "current", "in use"
        FORMER = "former", "replaced"
        FAILED = "failed", "failed"

    kind = models.CharField(max_length=12, choices=Kind)
    status = models.CharField(max_length=7, choices=Status, default=Status.LOADING)
    file_name = models.CharField("file", max_length=200)
    version = models.CharField(max_length=60, blank=True)
    dated = models.DateField("date of the list", null=True, blank=True)
    sha256 = models.CharField(max_length=64)
    count = models.PositiveIntegerField("entries", default=0)
    problem = models.TextField(blank=True)
    loaded_at = models.DateTimeField(auto_now_add=True)
    loaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(status="current"),
                name="one_list_of_a_kind_in_use",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.file_name}"

    @property
    def described(self) -> str:
        """How a finding names it: what it is, of when, and how long it has been here."""
        version = f" {self.version}" if self.version not in self.file_name else ""
        dated = f" of {self.dated:%-d %B %Y}" if self.dated else ", of no date"
        return f"{self.file_name}{version}{dated}, loaded on {self.loaded_at:%-d %B %Y}"


class Institution(models.Model):
    """An organisation of the list of research institutions (the ROR dump)."""

    evidence_list = models.ForeignKey(
        EvidenceList, models.CASCADE, related_name="institutions", db_index=False
    )
    ror = models.CharField("ROR id", max_length=20)
    name = models.CharField(max_length=300)
    types = models.JSONField(default=list, help_text="As ROR has them: education, company, …")
    country = models.CharField(max_length=2, blank=True)

    class Meta:
        indexes = [models.Index(fields=["evidence_list", "ror"], name="institution_ror")]

    def __str__(self) -> str:
        return self.name


class InstitutionDomain(models.Model):
    """A mail domain of an institution: one that ROR names, or the host of its web site."""

    evidence_list = models.ForeignKey(
        EvidenceList, models.CASCADE, related_name="+", db_index=False
    )
    institution = models.ForeignKey(Institution, models.CASCADE, related_name="domains")
    domain = models.CharField(max_length=253)
    is_named = models.BooleanField(help_text="Named as a mail domain; else its web site's host.")

    class Meta:
        indexes = [models.Index(fields=["evidence_list", "domain"], name="institution_domain")]

    def __str__(self) -> str:
        return self.domain


class InstitutionName(models.Model):
    """A name of an institution, in the form in which names are compared."""

    evidence_list = models.ForeignKey(
        EvidenceList, models.CASCADE, related_name="+", db_index=False
    )
    institution = models.ForeignKey(Institution, models.CASCADE, related_name="names")
    key = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["evidence_list", "key"], name="institution_name")]

    def __str__(self) -> str:
        return self.key


class ListedEntry(models.Model):
    """A country, person or organisation of the list that the manager loaded."""

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        ORGANISATION = "organisation", "Organisation"
        COUNTRY = "country", "Country"

    evidence_list = models.ForeignKey(
        EvidenceList, models.CASCADE, related_name="entries", db_index=False
    )
    kind = models.CharField(max_length=12, choices=Kind)
    name = models.CharField(max_length=300)
    aliases = models.JSONField(default=list)
    country = models.CharField(max_length=2, blank=True, help_text="Of a listed country: its code.")
    source = models.CharField(max_length=300, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["evidence_list", "kind", "country"], name="listed_country")]

    def __str__(self) -> str:
        return self.name


class ListedName(models.Model):
    """A name or alias of an entry, in the form in which names are compared."""

    evidence_list = models.ForeignKey(
        EvidenceList, models.CASCADE, related_name="+", db_index=False
    )
    entry = models.ForeignKey(ListedEntry, models.CASCADE, related_name="names")
    key = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["evidence_list", "key"], name="listed_name")]

    def __str__(self) -> str:
        return self.key


class ListedPair(models.Model):
    """How two words of a listed name begin: what a name that is spelt a little otherwise shares.

    Kind and key of the name stand here too, so that one index answers without a join.
    """

    evidence_list = models.ForeignKey(
        EvidenceList, models.CASCADE, related_name="+", db_index=False
    )
    entry = models.ForeignKey(ListedEntry, models.CASCADE, related_name="pairs")
    kind = models.CharField(max_length=12, choices=ListedEntry.Kind)
    pair = models.CharField(max_length=5)
    key = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["evidence_list", "kind", "pair"], name="listed_pair")]

    def __str__(self) -> str:
        return self.pair


class AnswerBand(models.Model):
    """A piece of an answer's fingerprint (`access_requests/likeness.py`).

    Answers that share a piece are candidates for being alike. The applicant stands here too, so
    that a person's own earlier answers are left out by the index alone.
    """

    application = models.ForeignKey(Application, models.CASCADE, related_name="answer_bands")
    applicant = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    question = models.CharField(max_length=60, help_text="The key of the question.")
    value = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["value", "applicant"], name="answer_band")]

    def __str__(self) -> str:
        return f"{self.question} of {self.application_id}"


class OrcidRecord(models.Model):
    """What the public record of an ORCID iD said when it was looked up; kept for some days."""

    orcid = models.CharField(max_length=19, primary_key=True)
    found = models.BooleanField(default=False)
    name = models.CharField(max_length=300, blank=True)
    other_names = models.JSONField(default=list)
    employers = models.JSONField(
        default=list, help_text="A list of {name, ror, ended}: the public employments."
    )
    problem = models.CharField(
        max_length=200, blank=True, help_text="Why it could not be looked up."
    )
    looked_up_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.orcid
