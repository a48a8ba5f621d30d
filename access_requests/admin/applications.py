"""The queue, and the page on which an application is reviewed."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import evidence, selectors, services, words
from access_requests.admin.desk import Desk, reviewer
from access_requests.admin.filters import AgeFilter, CategoryFilter, ClaimFilter, StateFilter
from access_requests.forms import ReleaseChoices
from access_requests.models import Application, State, Tier
from access_requests.services.reviewing import DEFAULT_GRANT
from access_requests.workflow import Action, Role, actions_for
from portal.accounts.models import Account
from portal.catalog.models import Release


class ReturnForm(forms.Form):
    message = forms.CharField(
        label="What has to be mended",
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=4000,
        help_text="Told to the applicant. You keep the claim, and see afterwards what changed.",
    )


class RefuseForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=4000,
        help_text="Told to the applicant: what a new application would need.",
    )


class ApproveForm(forms.Form):
    releases = ReleaseChoices(
        queryset=Release.objects.none(), widget=forms.CheckboxSelectMultiple, label="Releases"
    )
    tier = forms.ChoiceField(choices=Tier.choices, initial=Tier.WEIGHTS, label="Covers")
    ends_at = forms.DateField(
        label="Until (end of the day, UTC)",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    reason = forms.CharField(
        label="A word to the applicant",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=4000,
    )

    def __init__(self, application: Application, data: Any = None) -> None:
        open_ones = application.releases.exclude(status=Release.Status.WITHDRAWN)
        end = (timezone.now() + DEFAULT_GRANT).date()
        super().__init__(data, initial={"releases": open_ones, "ends_at": end})
        field = self.fields["releases"]
        assert isinstance(field, ReleaseChoices)
        field.queryset = open_ones

    def terms(self) -> dict[str, Any]:
        """As `services.decide` takes them."""
        given = self.cleaned_data
        end = datetime.combine(given["ends_at"], time(23, 59, 59), tzinfo=UTC)
        return {
            "releases": given["releases"],
            "tier": Tier(given["tier"]),
            "ends_at": end,
            "reason": given["reason"],
        }


TOLD = {
    Action.CLAIM: "It is yours to review.",
    Action.RELEASE: "It is back in the queue.",
    Action.RETURN: "Returned; the applicant is told by mail.",
    Action.APPROVE: "Approved; the grants are open, and the applicant is told by mail.",
    Action.REFUSE: "Refused; the applicant is told by mail, with the reason.",
}


@admin.register(Application)
class ApplicationAdmin(Desk):
    page_template = "access_requests/review/application.html"
    list_display = ("row", "applicant_shown", "asked", "state_shown", "age", "claimed_by")
    list_display_links = ("row",)
    list_filter = (StateFilter, "family", CategoryFilter, ClaimFilter, AgeFilter)
    list_per_page = 50
    search_fields = ("applicant__name", "applicant__email", "search_text")
    search_help_text = "Name, e-mail, institution, or a word of the answers"
    ordering = ("submitted_at", "id")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Application]":
        return selectors.submitted().order_by(*self.ordering)

    @display(description="Application", ordering="pk")
    def row(self, obj: Application) -> str:
        return obj.reference

    @display(description="Applicant", header=True, ordering="applicant__name")
    def applicant_shown(self, obj: Application) -> list[str]:
        return [obj.applicant.name, obj.affiliation.get("institution", "")]

    @display(description="Asks for")
    def asked(self, obj: Application) -> str:
        return ", ".join(release.name for release in obj.releases.all())

    @display(
        description="State",
        ordering="state",
        label={
            State.SUBMITTED.label: "info",
            State.IN_REVIEW.label: "warning",
            State.APPROVED.label: "success",
            State.REFUSED.label: "danger",
        },
    )
    def state_shown(self, obj: Application) -> str:
        return str(obj.get_state_display())

    @display(description="Waits", ordering="submitted_at")
    def age(self, obj: Application) -> str:
        return age_in_words(obj)

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_application_act",
        )
        return [act, *super().get_urls()]

    def form_for(self, action: str, obj: Application, data: Any) -> forms.Form:
        match action:
            case Action.RETURN:
                return ReturnForm(data)
            case Action.REFUSE:
                return RefuseForm(data)
            case Action.APPROVE:
                return ApproveForm(obj, data)
        return forms.Form(data or {})

    def perform(self, action: str, obj: Application, form: forms.Form, actor: Account) -> str:
        given = form.cleaned_data
        match action:
            case Action.CLAIM:
                services.claim(obj.pk, actor=actor)
            case Action.RELEASE:
                services.release(obj.pk, actor=actor)
            case Action.RETURN:
                services.return_for_correction(obj.pk, actor=actor, message=given["message"])
            case Action.REFUSE:
                services.decide(obj.pk, actor=actor, approve=False, reason=given["reason"])
            case Action.APPROVE:
                assert isinstance(form, ApproveForm)
                services.decide(obj.pk, actor=actor, approve=True, **form.terms())
            case _:
                raise services.unknown_action(action)
        return TOLD[Action(action)]

    def page_context(
        self, request: HttpRequest, obj: Application, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        role = selectors.role_in(reviewer(request), obj)
        may = actions_for(State(obj.state), role)
        shown = selectors.answers_on_the_table(obj)
        is_own = role == Role.APPLICANT
        return {
            "application": obj,
            "age": age_in_words(obj),
            "is_own": is_own,
            "may": {str(action): True for action in may if action in TOLD},
            "forms": {
                str(action): bound.get(str(action)) or self.form_for(str(action), obj, None)
                for action in (Action.RETURN, Action.APPROVE, Action.REFUSE)
            },
            "typed": _typed_in_vain(bound, {str(action) for action in may}),
            "answers": words.answered(obj, shown.answers, shown.before),
            "corrected": shown.before is not None,
            # Reviewers apply too; then they see no more of their case than other applicants do.
            "evidence": [] if is_own else _kept_evidence(obj) or evidence.snapshot(obj),
            "evidence_is_kept": bool(_kept_evidence(obj)),
            "events": [] if is_own else words.events(obj),
            "thread": obj.messages.select_related("author"),
            "reviews": [] if is_own else obj.reviews.select_related("reviewer"),
            "grants": [
                selectors.standing_of(grant) for grant in selectors.grants_of(obj.applicant)
            ],
            "others": selectors.applications_of(obj.applicant)
            .exclude(pk=obj.pk)
            .exclude(submitted_at=None),
        }


def _kept_evidence(application: Application) -> list[dict[str, str]]:
    """What was on screen at the decision, once there is one."""
    if application.decided_at is None:
        return []
    last = application.reviews.exclude(evidence=[]).last()
    return last.evidence if last else []


def _typed_in_vain(bound: dict[str, forms.Form], may: set[str]) -> str:
    """The text of an act that is not possible any more, so that it can be copied."""
    lost = [form for action, form in bound.items() if action not in may]
    data = lost[0].data if lost else {}
    return str(data.get("reason") or data.get("message") or "")


def age_in_words(application: Application) -> str:
    """How long it waits, or waited, for its decision."""
    if application.submitted_at is None:
        return ""
    end = application.decided_at or timezone.now()
    days = (end - application.submitted_at).days
    return "less than a day" if days < 1 else "1 day" if days == 1 else f"{days} days"
