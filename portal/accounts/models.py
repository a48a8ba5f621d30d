"""People: an account, the affiliation it speaks for, and the tokens of its programs."""

import hashlib
import re
import secrets
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django_countries.fields import CountryField
from stdnum.iso7064 import mod_11_2

from portal.accounts.addresses import AddressField, normalise_address
from portal.names import NameField, refuse_links


class AccountManager(BaseUserManager["Account"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "Account":
        account = self.model(email=normalise_address(email), **fields)
        account.set_password(password)
        account.save()
        return account

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "Account":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "Account":
        return self.get(email=username)


class Account(AbstractBaseUser, PermissionsMixin):
    """A person, known by one verified e-mail address at every door."""

    email = AddressField(unique=True)
    name = NameField("full name", max_length=150, validators=[refuse_links])
    is_staff = models.BooleanField("may open the admin", default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    erased_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When nothing but the number was left."
    )

    # Of an account that comes with a token: what that may. None in a browser, where there is none.
    token_scopes: frozenset[str] | None = None

    objects = AccountManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        ordering = ("email",)
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="account_email_is_lower_case"
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def may_act_in_role(self) -> bool:
        """Whether what the person comes with reaches as far as their roles do."""
        return self.token_scopes is None or Scope.REVIEW in self.token_scopes

    @property
    def handle(self) -> str:
        """How programs of the hub protocol name the person: for ever, and saying nothing of them."""
        return f"u{self.pk}"

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email


class Erasure(models.Model):
    """A person's wish to be erased. It waits for some days, in which it can be taken back."""

    account = models.ForeignKey(Account, models.PROTECT, related_name="erasures")
    asked_by = models.ForeignKey(Account, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    taken_back_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(taken_back_at=None, done_at=None),
                name="one_erasure_waits_per_account",
            )
        ]

    def __str__(self) -> str:
        return f"erasure of account {self.account_id}"

    def mail_subjects(self) -> set[int | None]:
        """The accounts that a mail with this row is about."""
        return {self.account_id}


ORCID_FORM = re.compile(r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")


def valid_orcid(value: str) -> None:
    """Refuse an ORCID whose ISO 7064 check digit does not fit."""
    if not ORCID_FORM.match(value) or not mod_11_2.is_valid(value.replace("-", "")):
        raise ValidationError(
            "This is not a valid ORCID iD: the form is 0000-0000-0000-0000 and "
            "its last digit checks the others. Copy it from your ORCID page."
        )


class Affiliation(models.Model):
    """The institution a person speaks for; an application keeps a copy as it was when submitted."""

    class Category(models.TextChoices):
        ACADEMIA = "academia", "Academia"
        GOVERNMENT = "government", "Government"
        CIVIL_SOCIETY = "civil_society", "Civil society"
        INDUSTRY = "industry", "Industry research lab"
        INDEPENDENT = "independent", "Independent"

    account = models.OneToOneField(Account, models.CASCADE, related_name="affiliation")
    category = models.CharField(max_length=20, choices=Category)
    institution = NameField(max_length=200)
    country = CountryField()
    position = NameField(max_length=120)
    web_page = models.URLField(
        "web page", blank=True, help_text="A page that shows you at this institution."
    )
    orcid = models.CharField("ORCID iD", max_length=19, blank=True, validators=[valid_orcid])
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.position}, {self.institution}"

    def snapshot(self) -> dict[str, str]:
        """What an application keeps of it (JSON); an ORCID iD that is linked need not be typed."""
        from portal.accounts.orcid import linked_orcid

        return {
            "category": self.get_category_display(),
            "institution": self.institution,
            "country": str(getattr(self.country, "name", self.country)),
            "position": self.position,
            "web_page": self.web_page,
            "orcid": self.orcid or linked_orcid(self.account),
        }


class Scope(models.TextChoices):
    READ = "read", "read: releases, my applications, my grants"
    APPLY = "apply", "apply: my name and affiliation, my applications"
    DOWNLOAD = "download", "download: links to weights I hold a grant for"
    SANDBOX = "sandbox", "sandbox: prompt models I hold a grant for"
    REVIEW = "review", "review: act in my roles: review, manage, read the audit log"


class ApiToken(models.Model):
    """A bearer token. Only its SHA-256 is kept; the token itself is shown once."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="tokens")
    name = NameField(max_length=80)
    sha256 = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=12, help_text="The first characters, to tell tokens apart.")
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @staticmethod
    def digest(token: str) -> str:
        # 256 random bits need no slow hash: there is nothing to guess.
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def make(
        cls, account: Account, *, name: str, scopes: list[str], expires_at: datetime | None = None
    ) -> tuple["ApiToken", str]:
        """A new token and its text, which is not kept."""
        text = "wb_" + secrets.token_urlsafe(32)
        row = cls.objects.create(
            account=account,
            name=name,
            scopes=scopes,
            expires_at=expires_at,
            sha256=cls.digest(text),
            hint=text[:7],
        )
        return row, text
