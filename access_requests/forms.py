"""The forms of the pages."""

from typing import Any

from django import forms

from access_requests.answers import AnswersForm as AnswersForm
from portal.catalog import selectors as catalog
from portal.catalog.models import Family, Release
from portal.names import NameInput


class ReleaseChoices(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.name)


class ReleasesForm(forms.Form):
    """Which releases of the family; withdrawn ones cannot be chosen."""

    releases = ReleaseChoices(
        queryset=Release.objects.none(),
        to_field_name="slug",
        widget=forms.CheckboxSelectMultiple,
        label="Releases",
        help_text="Choose all that you need; one application covers them together.",
        error_messages={
            "required": "Choose at least one release.",
            "invalid_choice": "There is no release %(value)s to apply for.",
        },
    )

    def __init__(self, family: Family, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["releases"]
        assert isinstance(field, ReleaseChoices)
        field.queryset = catalog.open_releases(family)


class LicenceForm(forms.Form):
    """Accept a licence by typing one's name.

    The hidden digest says which text was on the screen.
    """

    text_sha256 = forms.CharField(widget=forms.HiddenInput, max_length=64)
    typed_name = NameInput(
        label="Type your full name to accept",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Type your name to accept the licence."},
    )
