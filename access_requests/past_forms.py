"""The question about the past, as a form: for the page and for REST alike."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils import timezone

from access_requests.models import Tier
from portal.accounts.addresses import account_at
from portal.accounts.models import Account
from portal.catalog.models import Release

MOST = 18  # digits of a number that a database takes


class PastForm(forms.Form):
    """Who could open what, when. A release, a person, or both."""

    release = forms.ModelChoiceField(
        Release.objects.order_by("repo_id"),
        to_field_name="slug",
        required=False,
        empty_label="Any release",
        label="Release",
    )
    person = forms.CharField(
        max_length=254,
        required=False,
        label="Person",
        help_text="E-mail address or account number. Empty: everybody.",
    )
    at = forms.DateTimeField(
        label="At (UTC)",
        widget=forms.DateTimeInput({"type": "datetime-local", "step": 1}, "%Y-%m-%dT%H:%M:%S"),
        input_formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
        error_messages={"invalid": "Write it like 2026-11-24 13:30; the time is UTC."},
    )
    tier = forms.ChoiceField(
        label="Could",
        choices=[(Tier.WEIGHTS.value, "download it"), (Tier.TRY.value, "open it in the sandbox")],
        initial=Tier.WEIGHTS.value,
        required=False,
    )
    show = forms.ChoiceField(
        label="Show",
        choices=[("could", "those who could"), ("all", "all, with why not")],
        initial="could",
        required=False,
    )

    def clean_person(self) -> Account | None:
        given = self.cleaned_data["person"].strip()
        if not given:
            return None
        number = given.isascii() and given.isdecimal() and len(given) <= MOST
        person = Account.objects.filter(pk=int(given)).first() if number else account_at(given)
        if person is None:
            raise forms.ValidationError("No account has this address or number.")
        return person

    def clean_at(self) -> datetime:
        at = _utc(self.cleaned_data["at"])
        if at > timezone.now():
            raise forms.ValidationError("This lies in the future, which no log knows.")
        return at

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not (given.get("release") or given.get("person")) and not self.errors:
            raise forms.ValidationError("Choose a release, a person, or both.")
        given["tier"] = Tier(given.get("tier") or Tier.WEIGHTS)
        given["only_open"] = given.get("show") != "all"
        return given


def moment(text: str) -> datetime:
    """The time that an address names; now where it names none, and not later than now."""
    now = timezone.now()
    try:
        return min(_utc(PastForm.base_fields["at"].clean(text)), now)
    except forms.ValidationError:
        return now


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:  # a day before the first or after the last one there is
        raise forms.ValidationError("No calendar has this day.") from None
