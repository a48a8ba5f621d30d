"""Name and affiliation of a person, changed by a program; the page shows the same forms."""

from typing import Any

from django.db import transaction
from django.forms import ModelForm

from portal.accounts import services
from portal.accounts.forms import AffiliationForm, NameForm
from portal.accounts.models import Account, Affiliation
from portal.refusals import Code, Refusal


@transaction.atomic
def update_profile(
    *, actor: Account, name: str | None = None, affiliation: dict[str, str] | None = None
) -> None:
    """Change what is given, and nothing else. Raises Refusal INVALID naming each field that does not fit."""
    account = Account.objects.select_for_update().get(pk=actor.pk)
    forms: dict[str, ModelForm] = {}
    if name is not None:
        forms[""] = NameForm({"name": name}, instance=account)
    if affiliation is not None:
        forms["affiliation."] = _affiliation_form(account, affiliation)
    errors = {
        f"{prefix}{field}": [str(line) for line in lines]
        for prefix, form in forms.items()
        for field, lines in form.errors.items()
    }
    if errors:
        raise Refusal(
            Code.INVALID,
            "Some fields of your profile are invalid.",
            "Correct the named fields and send the request again. Nothing was changed.",
            fields=errors,
        )
    if name is not None:
        services.rename(actor, forms[""].cleaned_data["name"], actor=actor)
    if affiliation is not None:
        services.save_affiliation(forms["affiliation."].save(commit=False), actor=actor)


def _affiliation_form(account: Account, changes: dict[str, str]) -> AffiliationForm:
    saved = Affiliation.objects.filter(account=account).first()
    names = AffiliationForm.base_fields
    values: dict[str, Any] = {name: str(getattr(saved, name)) for name in names} if saved else {}
    return AffiliationForm({**values, **changes}, instance=saved)
