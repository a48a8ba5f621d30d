"""What is filled in on the page of an application."""

from datetime import UTC, date, datetime, time
from typing import Any

from django import forms
from django.utils import timezone

from access_requests import selectors, versions
from access_requests.forms import ReleaseChoices
from access_requests.models import Application, Opinion, ReasonTemplate, Tier, Witness
from access_requests.services.reviewing import DEFAULT_GRANT
from portal.accounts.models import Account
from portal.catalog.models import Release


def long_text(label: str, *, rows: int = 4, required: bool = True, **more: Any) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": rows})
    return forms.CharField(label=label, widget=widget, max_length=4000, required=required, **more)


def end_of(day: date | None) -> datetime | None:
    return datetime.combine(day, time(23, 59, 59), tzinfo=UTC) if day else None


def start_of(day: date | None) -> datetime | None:
    return datetime.combine(day, time(0), tzinfo=UTC) if day else None


def day(label: str, *, required: bool = True, **more: Any) -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, widget=widget, required=required, **more)


class SeenForm(forms.Form):
    """Brings back the version that the page carried. The page writes it, always that which it shows now."""

    seen = forms.CharField(required=False, max_length=versions.MOST, widget=forms.HiddenInput)


class ReturnForm(SeenForm):
    message = long_text(
        "What has to be mended",
        help_text="Told to the applicant. You keep the claim, and see afterwards what changed.",
    )


class MessageForm(forms.Form):
    body = long_text("Write to the applicant", rows=3)


class NoteForm(forms.Form):
    note = long_text("A note for reviewers", rows=3)


class RecuseForm(forms.Form):
    reason = long_text(
        "What the conflict is",
        rows=2,
        help_text="For reviewers only. You act on this application no more; a claim goes back.",
    )


class AdviseForm(SeenForm):
    advice = forms.ChoiceField(
        choices=[one for one in Opinion.Advice.choices if one[0]],
        widget=forms.RadioSelect,
        label="Your advice",
    )
    answer = long_text("Why", rows=3)


class ChecklistForm(SeenForm):
    """With the checklist of the releases; without the field when there is none."""

    checklist = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, required=False, label="Checklist"
    )

    def offer_checklist(self, application: Application) -> None:
        items = selectors.checklist(application.releases.all())
        if not items:
            del self.fields["checklist"]
            return
        field = self.fields["checklist"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(item, item) for item in items]


class RefuseForm(ChecklistForm):
    template = forms.ModelChoiceField(
        queryset=ReasonTemplate.objects.none(),
        required=False,
        label="Reason from the list",
        empty_label="None: what I write below",
    )
    reason = long_text(
        "Reason in your words",
        required=False,
        help_text="Told to the applicant, after the one chosen: what a new application would need.",
    )
    apply_again_from = day(
        "May apply again from", required=False, help_text="Empty: at once. One appeal is open."
    )

    field_order = ("template", "reason", "apply_again_from", "checklist")

    def __init__(self, application: Application, data: Any = None) -> None:
        super().__init__(data)
        offered = self.fields["template"]
        assert isinstance(offered, forms.ModelChoiceField)
        offered.queryset = selectors.reasons_for(application.family)
        if not offered.queryset.exists():
            del self.fields["template"]
        self.offer_checklist(application)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self._reason(given):
            self.add_error("reason", "A refusal needs a reason: choose one or write one.")
        return given

    @staticmethod
    def _reason(given: dict[str, Any]) -> str:
        template = given.get("template")
        parts = [template.text if template else "", given.get("reason") or ""]
        return "\n\n".join(part.strip() for part in parts if part.strip())

    def terms(self) -> dict[str, Any]:
        """As `services.decide` takes them."""
        given = self.cleaned_data
        return {
            "seen": given["seen"],
            "reason": self._reason(given),
            "apply_again_from": start_of(given.get("apply_again_from")),
            "checklist": given.get("checklist", []),
        }


class ApproveForm(ChecklistForm):
    releases = ReleaseChoices(
        queryset=Release.objects.none(), widget=forms.CheckboxSelectMultiple, label="Releases"
    )
    tier = forms.ChoiceField(choices=Tier.choices, initial=Tier.WEIGHTS, label="Covers")
    ends_at = day("Until (end of the day, UTC)")
    reason = long_text("A word to the applicant", rows=2, required=False)

    field_order = ("releases", "tier", "ends_at", "checklist", "reason")

    def __init__(self, application: Application, data: Any = None) -> None:
        open_ones = application.releases.exclude(status=Release.Status.WITHDRAWN)
        end = min(timezone.now() + DEFAULT_GRANT, selectors.latest_end(application.releases.all()))
        offered = [
            one for one in application.releases.all() if one.status != Release.Status.WITHDRAWN
        ]
        initial: dict[str, Any] = {"releases": offered, "ends_at": end.date()}
        if first := selectors.last_endorsement(application):
            initial |= {
                "releases": [one for one in offered if one.repo_id in first.terms["releases"]],
                "tier": first.terms["tier"],
                "ends_at": datetime.fromisoformat(first.terms["ends_at"]).date(),
            }
        super().__init__(data, initial=initial)
        field = self.fields["releases"]
        assert isinstance(field, ReleaseChoices)
        field.queryset = open_ones
        self.offer_checklist(application)

    def terms(self) -> dict[str, Any]:
        """As `services.decide` takes them."""
        given = self.cleaned_data
        return {
            "seen": given["seen"],
            "releases": given["releases"],
            "tier": Tier(given["tier"]),
            "ends_at": end_of(given["ends_at"]),
            "reason": given["reason"],
            "checklist": given.get("checklist", []),
        }


class AskAgainForm(forms.Form):
    witness = forms.IntegerField(widget=forms.HiddenInput)


class GoWithoutForm(forms.Form):
    """For managers, where an answer is missing."""

    kind = forms.ChoiceField(label="Without the answer of the")
    reason = long_text(
        "Why",
        rows=2,
        help_text="For reviewers only; it is kept as evidence. An answer that still comes is read.",
    )

    def __init__(self, application: Application, data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["kind"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(kind.value, kind.label) for kind in Witness.Kind]
        if missing := selectors.kinds_missing(application):
            field.choices = [(kind.value, kind.label) for kind in missing]


class ColleagueForm(forms.Form):
    """Names somebody who may act on this application."""

    reviewer = forms.ModelChoiceField(queryset=Account.objects.none(), label="Colleague")

    def __init__(self, application: Application, data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["reviewer"]
        assert isinstance(field, forms.ModelChoiceField)
        found = selectors.colleagues(application)
        field.queryset = found.exclude(pk=application.claimed_by_id or 0)


class AskForm(ColleagueForm):
    kind = forms.ChoiceField(choices=Opinion.Kind.choices, label="For")
    question = long_text("Your question", rows=2, required=False)
