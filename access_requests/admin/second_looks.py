"""Second looks: one's own (managers: also what others answered), without the decision until answered."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import selectors, services, words
from access_requests.admin.desk import Desk, reviewer
from access_requests.admin.review_forms import long_text
from access_requests.models import SecondLook
from portal.accounts.models import Account


class LookForm(forms.Form):
    outcome = forms.ChoiceField(
        choices=[(str(one), one.label.capitalize()) for one in services.second_looks.ANSWERS],
        widget=forms.RadioSelect,
        label="What would you decide?",
    )
    reason = long_text(
        "Why", rows=3, help_text="For the managers of this site; the applicant never sees it."
    )


class ConflictForm(forms.Form):
    conflict = long_text("What the conflict is", rows=2, help_text="For reviewers only.")


@admin.register(SecondLook)
class SecondLookAdmin(Desk):
    page_template = "access_requests/review/second_look.html"
    list_display = ("row", "family", "by", "state_shown", "asked_at", "answered_at")
    list_display_links = ("row",)
    list_before_template = "access_requests/review/second_looks.html"
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> "QuerySet[SecondLook]":
        return selectors.looks_seen_by(reviewer(request))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ()

    @display(description="Application")
    def row(self, obj: SecondLook) -> str:
        return obj.application.reference

    @display(description="Asked of")
    def by(self, obj: SecondLook) -> str:
        return str(obj.reviewer)

    @display(description="Family")
    def family(self, obj: SecondLook) -> str:
        return obj.application.family.name

    @display(description="Answer", label={SecondLook.Outcome.OPEN.label: "warning"})
    def state_shown(self, obj: SecondLook) -> str:
        return str(obj.get_outcome_display())

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            return super().changelist_view(request, extra_context)
        mine = reviewer(request).second_looks
        context = {"any": mine.exists(), "waiting": mine.filter(outcome="").count()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_secondlook_act",
        )
        return [act, *super().get_urls()]

    def form_for(self, action: str, obj: SecondLook, data: Any) -> forms.Form:
        match action:
            case "look":
                return LookForm(data)
            case "decline":
                return ConflictForm(data)
        return forms.Form(data)

    def perform(self, action: str, obj: SecondLook, form: forms.Form, actor: Account) -> str:
        match action:
            case "look":
                services.look_again(obj.pk, actor=actor, **form.cleaned_data)
                return (
                    "Kept. The decision is open to you now, and your answer changes nothing in it."
                )
            case "decline":
                services.decline_look(obj.pk, actor=actor, reason=form.cleaned_data["conflict"])
                return "Noted: somebody else is asked, where there is somebody."
        raise services.unknown_action(action)

    def url_of(self, obj: Any) -> str:
        """Back to the list: a look that was given up is another person's now."""
        return reverse("admin:access_requests_secondlook_changelist")

    def page_context(
        self, request: HttpRequest, obj: SecondLook, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        return {
            "look": obj,
            "is_mine": obj.reviewer_id == reviewer(request).pk,
            "is_open": obj.outcome == SecondLook.Outcome.OPEN,
            "application": obj.application,
            "affiliation": obj.seen["affiliation"],
            "answers": words.answered(obj.application, obj.seen["answers"]),
            "evidence": obj.review.evidence,
            "look_form": bound.get("look") or LookForm(),
            "conflict_form": bound.get("decline") or ConflictForm(),
        }
