"""What is filled in about witnesses, and by them."""

from typing import Any

from django import forms

from access_requests.models import Witness
from access_requests.services.testimony import LONG
from portal.names import NameInput

HELP = {
    Witness.Kind.OFFICIAL: "Such as: Dean of Science, or Head of the Research Office.",
    Witness.Kind.REFEREE: "Such as: professor at the University of Utrecht.",
}


class NameWitnessForm(forms.Form):
    kind = forms.CharField(widget=forms.HiddenInput, max_length=10)
    name = NameInput(label="Name", max_length=150)
    position = NameInput(label="Position", max_length=200)
    email = forms.EmailField(
        label="E-mail address at their institution",
        help_text="They get one mail with a link, and one reminder after a week.",
    )

    def __init__(self, kind: Witness.Kind, data: Any = None, initial: Any = None) -> None:
        super().__init__(data, initial={"kind": kind.value, **(initial or {})})
        self.auto_id = f"id_{kind.value}_%s"  # two of these forms stand on one page
        self.fields["position"].help_text = HELP[kind]


def _long(label: str, **more: Any) -> forms.CharField:
    return forms.CharField(
        label=label, max_length=LONG, widget=forms.Textarea(attrs={"rows": 4}), **more
    )


class OfficialForm(forms.Form):
    read = forms.CharField(widget=forms.HiddenInput, max_length=64)
    answer = forms.ChoiceField(
        label="Your answer",
        choices=[
            ("confirm", "I confirm: my institution knows of this and stands behind it."),
            ("decline", "I do not confirm it."),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one of the two."},
    )
    typed_name = NameInput(
        label="If you confirm: your full name",
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text="Typed here it is your signature; we keep it with the time and the licence's digest.",
    )
    comment = _long(
        "Comment",
        required=False,
        help_text="For the reviewers alone. If you do not confirm, say why.",
    )

    def given(self) -> dict[str, Any]:
        """As `services.confirm` takes it."""
        given = dict(self.cleaned_data)
        return {"confirms": given.pop("answer") == "confirm", **given}


class RefereeForm(forms.Form):
    """The three questions."""

    read = forms.CharField(widget=forms.HiddenInput, max_length=64)
    relation = _long(
        "1. How do you know the applicant, and for how long?",
        error_messages={"required": "Say how you know them, and for how long."},
    )
    research = forms.ChoiceField(
        label="2. Is the research described above real, and is it theirs?",
        choices=[
            ("yes", "Yes"),
            ("partly", "In part"),
            ("no", "No"),
            ("unknown", "I cannot say"),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one of the answers."},
    )
    research_more = _long("Anything to add about the research", required=False)
    against = forms.ChoiceField(
        label="3. Do you know a reason against giving them access?",
        choices=[("no", "No"), ("yes", "Yes")],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one of the two."},
    )
    against_more = _long("If yes: what the reason is", required=False)

    def given(self) -> dict[str, Any]:
        """As `services.give_reference` takes it."""
        given = dict(self.cleaned_data)
        return {**given, "against": given["against"] == "yes"}
