"""People who joined an application; those who came after its approval are decided on here."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import selectors, services, versions
from access_requests.admin.desk import Desk, reviewer
from access_requests.admin.review_forms import SeenForm
from access_requests.models import CoApplicant, State
from portal.accounts.models import Account


class DeclineForm(SeenForm):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}), max_length=4000, help_text="Told to the person."
    )


class WaitingFilter(admin.SimpleListFilter):
    """Those to decide, when nothing else is chosen."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("all", "All")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "To decide"}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all":
            return queryset
        return queryset.filter(status=CoApplicant.Status.JOINED, application__state=State.APPROVED)


@admin.register(CoApplicant)
class CoApplicantAdmin(Desk):
    page_template = "access_requests/review/coapplicant.html"
    list_display = ("who", "of", "status", "joined_at")
    list_display_links = ("who",)
    list_filter = (WaitingFilter, "application__family")
    sortable_by = ("of", "joined_at")
    search_fields = ("account__name", "account__email")
    search_help_text = "Name or e-mail"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[CoApplicant]":
        return selectors.seen_by(reviewer(request), selectors.places())

    @display(description="Co-applicant")
    def who(self, obj: CoApplicant) -> str:
        return str(obj.account)

    @display(description="Application", ordering="application")
    def of(self, obj: CoApplicant) -> str:
        return f"{obj.application.reference} of {obj.application.applicant}"

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_coapplicant_act",
        )
        return [act, *super().get_urls()]

    def form_for(self, action: str, obj: CoApplicant, data: Any) -> forms.Form:
        return DeclineForm(data) if action == "decline" else SeenForm(data)

    def perform(self, action: str, obj: CoApplicant, form: forms.Form, actor: Account) -> str:
        seen = form.cleaned_data.get("seen", "")
        match action:
            case "admit":
                done = services.admit(obj.pk, actor=actor, seen=seen)
                if done.status != CoApplicant.Status.ADMITTED:
                    return "Approved, the first of two: another reviewer gives the second approval."
                return "Admitted: the person has grants of their own and is told by mail."
            case "decline":
                reason = form.cleaned_data["reason"]
                services.decline(obj.pk, actor=actor, reason=reason, seen=seen)
                return "Not admitted: the person is told by mail, with your reason."
        raise services.unknown_action(action)

    def page_context(
        self, request: HttpRequest, obj: CoApplicant, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        application = obj.application
        actor = reviewer(request)
        assert obj.account is not None
        return {
            "title": f"{obj.account}, {application.reference}",
            "member": obj,
            "seen": versions.version_of_place(obj),
            "application": application,
            "why_not": selectors.why_not_decider(
                actor, holder=obj.account, application=application
            ),
            "first": selectors.first_approval(obj, application),
            "may_decide": obj.status == CoApplicant.Status.JOINED
            and application.state == State.APPROVED,
            "held": [
                selectors.standing_of(grant)
                for grant in selectors.seen_by(actor, selectors.grants_of(obj.account))
            ],
            "decline": bound.get("decline") or DeclineForm(),
        }
