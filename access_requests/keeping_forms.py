"""The forms of the holder's pages."""

from django import forms

from portal.names import NameInput
from portal.refusals import Refusal

LONG = 4000  # characters


class RenewalForm(forms.Form):
    used_for = forms.CharField(
        label="What did you use it for?",
        help_text="A few sentences: what you did, and what is still to do.",
        widget=forms.Textarea(attrs={"rows": 5}),
        max_length=LONG,
        error_messages={"required": "Say what you used the release for."},
    )
    publications = forms.CharField(
        label="Publications",
        help_text="Papers, preprints, talks, data sets; one a line. Leave it empty if none yet.",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=LONG,
    )
    derivatives = forms.CharField(
        label="Derivatives",
        help_text="Models made from these weights: what they are, where they are, who has them.",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=LONG,
    )


class CloseOutForm(forms.Form):
    remarks = forms.CharField(
        label="Remarks",
        help_text="Anything we should know: a backup that is out of your hands, for example.",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=LONG,
    )
    typed_name = NameInput(
        label="Type your full name to state this",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Type your name to make the statement."},
    )


def show(form: forms.Form, refusal: Refusal) -> None:
    """Put a refusal beside the field that it is about."""
    named = next((name for name in refusal.fields if name in form.fields), None)
    form.add_error(named, f"{refusal.detail} {refusal.way_out}")
