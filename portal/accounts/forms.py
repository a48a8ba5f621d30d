"""Forms about oneself."""

from django import forms
from django.http import HttpRequest

from portal.accounts.models import Account, Affiliation


class SignupForm(forms.Form):
    """What allauth asks beside e-mail and password."""

    name = forms.CharField(label="Full name", max_length=150, help_text="As it should stand under a licence.")
    field_order = ("name", "email", "password1", "password2")

    def signup(self, request: HttpRequest, user: Account) -> None:
        user.name = " ".join(self.cleaned_data["name"].split())
        user.save(update_fields=["name"])


class AffiliationForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Affiliation
        fields = ("category", "institution", "country", "position", "web_page", "orcid")
