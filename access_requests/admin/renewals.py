"""Renewals to decide: the report of use, and until when the grant goes on."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import selectors, services, versions
from access_requests.admin.desk import Desk, reviewer
from access_requests.admin.review_forms import SeenForm
from access_requests.models import Renewal
from portal.accounts.models import Account


class UntilForm(SeenForm):
    ends_at = forms.DateField(
        label="Until (end of the day, UTC)",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def end(self) -> datetime:
        return datetime.combine(self.cleaned_data["ends_at"], time(23, 59, 59), tzinfo=UTC)


class RefusalForm(SeenForm):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}), max_length=4000, help_text="Told to the holder."
    )


class OpenFilter(admin.SimpleListFilter):
    """Those to decide, when nothing else is chosen."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("all", "All"), ("approved", "Renewed"), ("refused", "Refused")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "To decide"}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "all":
                return queryset
            case "approved" | "refused" as status:
                return queryset.filter(status=status)
        return queryset.filter(status=Renewal.Status.OPEN)


@admin.register(Renewal)
class RenewalAdmin(Desk):
    page_template = "access_requests/review/renewal.html"
    list_display = ("row", "holder", "release", "state", "ends", "asked_at")
    list_display_links = ("row",)
    list_filter = (OpenFilter, "grant__release")
    sortable_by = ("row", "ends", "asked_at")
    search_fields = ("grant__account__name", "grant__account__email", "grant__release__repo_id")
    search_help_text = "Name, e-mail or repo id"
    ordering = ("grant__ends_at", "pk")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Renewal]":
        return selectors.seen_by(reviewer(request), selectors.renewals(), "grant__application")

    @display(description="Renewal", ordering="pk")
    def row(self, obj: Renewal) -> str:
        return f"R-{obj.pk:06d}"

    @display(description="Holder", header=True)
    def holder(self, obj: Renewal) -> list[str]:
        return [obj.grant.account.name, obj.grant.account.email]

    @display(description="Release")
    def release(self, obj: Renewal) -> str:
        return obj.grant.release.name

    @display(
        description="State",
        label={"to decide": "warning", "renewed": "success", "refused": "danger"},
    )
    def state(self, obj: Renewal) -> str:
        return "to decide" if obj.status == Renewal.Status.OPEN else obj.get_status_display()

    @display(description="Grant ends", ordering="grant__ends_at")
    def ends(self, obj: Renewal) -> datetime:
        return obj.grant.ends_at

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_renewal_act",
        )
        return [act, *super().get_urls()]

    def form_for(self, action: str, obj: Renewal, data: Any) -> forms.Form:
        if action == "refuse":
            return RefusalForm(data)
        in_a_year = max(obj.grant.ends_at, timezone.now()) + timedelta(days=365)
        end = obj.first_approval_until or min(in_a_year, selectors.latest_end([obj.grant.release]))
        return UntilForm(data, initial={"ends_at": end.date()})

    def perform(self, action: str, obj: Renewal, form: forms.Form, actor: Account) -> str:
        seen = form.cleaned_data.get("seen", "")
        match action:
            case "approve":
                assert isinstance(form, UntilForm)
                done = services.approve_renewal(obj.pk, actor=actor, seen=seen, ends_at=form.end())
                if done.status == Renewal.Status.OPEN:
                    return "Approved, the first of two: another reviewer gives the second approval."
                return "Renewed: the holder is told by mail."
            case "refuse":
                services.refuse_renewal(
                    obj.pk, actor=actor, seen=seen, reason=form.cleaned_data.get("reason", "")
                )
                return "Refused: the holder is told by mail, with your reason."
        raise services.unknown_action(action)

    def page_context(
        self, request: HttpRequest, obj: Renewal, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        grant = obj.grant
        return {
            "title": f"Renewal of {grant.release.name} for {grant.account}",
            "renewal": obj,
            "seen": versions.version_of_renewal(obj),
            "grant": grant,
            "standing": selectors.standing_of(grant),
            "why_not": selectors.why_not_decider(
                reviewer(request), holder=grant.account, application=grant.application
            ),
            "first": selectors.first_approval(obj, grant.application),
            "earlier": grant.renewals.exclude(pk=obj.pk).select_related("decided_by"),
            "approve": bound.get("approve") or self.form_for("approve", obj, None),
            "refuse": bound.get("refuse") or self.form_for("refuse", obj, None),
        }
