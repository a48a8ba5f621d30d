"""What people type about themselves, in the spellings that they copy it in: ORCID iDs and web pages."""

import re
import unicodedata
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

_ORCID_PAGE = re.compile(r"^(https?://)?(www\.|sandbox\.)?orcid\.org/", re.IGNORECASE)
_HYPHENS = re.compile("[\\s\u00ad\u2010-\u2015\u2212\ufe63-]")
_DIGITS = re.compile(r"[0-9]{15}[0-9X]")
_is_web_address = URLValidator(
    schemes=["http", "https"], message="Write a whole web address: https://…"
)


def plain_orcid(text: str) -> str:
    """`https://orcid.org/0000-0002-9079-593x` → 0000-0002-9079-593X; what is no iD stays as typed.

    Typographic hyphens, none at all and a small x are one iD; its check digit is not looked at.
    """
    typed = unicodedata.normalize("NFKC", text).strip()
    digits = _HYPHENS.sub("", _ORCID_PAGE.sub("", typed).rstrip("/")).upper()
    if not _DIGITS.fullmatch(digits):
        return text.strip()
    return "-".join(digits[at : at + 4] for at in range(0, 16, 4))


def web_page(text: str) -> None:
    """Refuse what is no http(s) address, and one with a name or password in it: it hides whose it is."""
    _is_web_address(text)
    if "@" in urlsplit(text).netloc:
        raise ValidationError("Write the address without a name or password before an @.")


class OrcidField(forms.CharField):
    def to_python(self, value: Any) -> str:
        return plain_orcid(super().to_python(value) or "")


class WebPageField(forms.URLField):
    default_validators = [web_page]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"assume_scheme": "https", **kwargs})
