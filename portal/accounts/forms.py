"""Forms about oneself."""

from typing import Any

from django import forms
from django.http import HttpRequest

from portal.accounts.models import Account, Affiliation, Scope
from portal.accounts.typed import OrcidField, WebPageField
from portal.audit.models import Verb
from portal.audit.services import record
from portal.names import NameInput, refuse_links


class SignupForm(forms.Form):
    """What allauth asks beside e-mail and password."""

    name = NameInput(
        label="Full name",
        max_length=150,
        validators=[refuse_links],
        help_text="As it should stand under a licence.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ("name", "email", "password1", "password2")

    def signup(self, request: HttpRequest, user: Account) -> None:
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])
        record(Verb.ACCOUNT_SIGNED_UP, user, actor=user)


class NameForm(forms.ModelForm):
    class Meta:
        model = Account
        fields = ("name",)
        help_texts = {"name": "You accept licences by typing this name."}


class AffiliationForm(forms.ModelForm):
    orcid = OrcidField(
        label="ORCID iD",
        required=False,
        max_length=100,
        help_text="Sixteen digits, 0000-0000-0000-0000, or the address of your ORCID page.",
    )

    class Meta:
        model = Affiliation
        fields = ("category", "institution", "country", "position", "web_page", "orcid")
        field_classes = {"web_page": WebPageField}
        help_texts = {
            "institution": "The one you do this research for. Independent researchers write their own name.",
            "position": "For example: PhD student, research engineer, policy analyst.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("category", "country"):
            widget = self.fields[name].widget
            assert isinstance(widget, forms.Select)
            named = [(value, label) for value, label in widget.choices if value]
            widget.choices = [("", "Choose…"), *named]


class EraseForm(forms.Form):
    read = forms.BooleanField(
        label="I have read what is removed, what is kept, and that it cannot be undone.",
        error_messages={"required": "Tick this after you have read it."},
    )


class TokenForm(forms.Form):
    name = NameInput(max_length=80, help_text="Where you will use it, for example: laptop.")
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.READ, Scope.DOWNLOAD],
        help_text="Give it no more than it needs.",
    )
