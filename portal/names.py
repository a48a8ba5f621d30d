"""Names that people give themselves and others: one spelling in the database, on pages and in mails."""

import re
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

# Cc, Zl and Zp break a line; Cf turns the direction of the text or is not seen; the others are no letters.
_BREAKS = frozenset({"Cc", "Zl", "Zp", "Zs"})
_DROPPED = frozenset({"Cf", "Cs", "Co", "Cn"})
_JOINERS = "\u200c\u200d"  # Persian and Indian names are spelt with these
_FOLDED = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b\u02bb\u02bc\u02b9\u2032\u00b4`\uff07\ua78c", "'"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys(_JOINERS),
    }
)
LIKE_A_LINK = re.compile(r"://|\bwww\.|@", re.IGNORECASE)


def clean_name(text: str) -> str:
    """In NFC, on one line, without control and bidi characters and double spaces."""
    kept = "".join(_kept(sign) for sign in unicodedata.normalize("NFC", text))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def _kept(sign: str) -> str:
    category = unicodedata.category(sign)
    if category in _BREAKS:
        return " "
    return "" if category in _DROPPED and sign not in _JOINERS else sign


def fold_marks(name: str) -> str:
    """With plain apostrophes and hyphens, as a keyboard types them."""
    return name.translate(_FOLDED)


def same_name(typed: str, name: str) -> bool:
    """Whether two spellings are one name: capitals, spaces, Unicode forms, and the kinds of apostrophe
    and hyphen do not matter.
    """
    return bool(_plain(name)) and _plain(typed) == _plain(name)


def _plain(name: str) -> str:
    folded = fold_marks(unicodedata.normalize("NFKC", fold_marks(clean_name(name))))
    return "".join(folded.split()).casefold()


def refuse_links(name: str) -> None:
    """Raise ValidationError for a name with an address in it: names stand in mails to strangers."""
    if LIKE_A_LINK.search(name):
        raise ValidationError("Give the name alone, without web or email addresses.")


class NameInput(forms.CharField):
    """A name in a form: cleaned, so that one of invisible characters alone counts as left empty."""

    def to_python(self, value: Any) -> Any:
        return clean_name(super().to_python(value) or "")


class NameField(models.CharField):
    """A name of something or somebody. Cleaned wherever it comes from: form, REST, admin, sign-in provider."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return clean_name(text) if isinstance(text, str) else text

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": NameInput, **kwargs})

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value

    def deconstruct(self) -> Any:
        """In migrations it is the column that it is."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs
