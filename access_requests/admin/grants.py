"""Grants: who holds which, and the buttons that close and open them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import URLPattern, path
from django.utils.http import urlencode
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import selectors, services, words
from access_requests.admin import past
from access_requests.admin.desk import Desk, reviewer
from access_requests.admin.filters import RunningFilter
from access_requests.models import Grant
from access_requests.workflow import GrantAction, grant_actions_for
from portal.accounts.models import Account
from portal.accounts.roles import is_manager
from portal.audit.selectors import history


class ReasonForm(forms.Form):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}), max_length=4000, help_text="Told to the holder."
    )


class OptionalReasonForm(ReasonForm):
    reason = forms.CharField(
        label="A word to the holder",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=4000,
    )


class RevokeForm(ReasonForm):
    """Nothing takes a revocation back, so the grant's number is typed."""

    def __init__(self, data: Any, *, grant: Grant) -> None:
        super().__init__(data)
        self.number = str(grant)
        self.fields["confirm"] = forms.CharField(
            label=f"Type {self.number} to confirm",
            max_length=20,
            widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        )

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed.strip().upper() != self.number:
            raise forms.ValidationError(
                f"This is not the number of this grant. Type {self.number}."
            )
        return typed


# What may be undone stands first.
ORDER = (GrantAction.REINSTATE, GrantAction.SUSPEND, GrantAction.REVOKE)
TOLD = {
    GrantAction.REVOKE: "Revoked: the next link, request and prompt of the holder are refused.",
    GrantAction.SUSPEND: "Suspended: the holder is refused until it is reinstated.",
    GrantAction.REINSTATE: "Reinstated: the holder is told by mail.",
}
# What stands above the button.
CONSEQUENCES = TOLD | {
    GrantAction.REVOKE: "For good: the holder's next link, request and prompt are refused, and this "
    "cannot be undone. To stop access while you look into something, suspend the grant.",
}


@admin.register(Grant)
class GrantAdmin(Desk):
    page_template = "access_requests/review/grant.html"
    list_display = ("row", "holder", "release", "tier", "standing", "ends_at")
    list_display_links = ("row",)
    list_filter = ("status", RunningFilter, "tier", "release")
    sortable_by = ("row", "ends_at")
    search_fields = ("account__name", "account__email", "release__repo_id")
    search_help_text = "Name, email, repo id or reference"

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Grant]", search_term: str
    ) -> tuple["QuerySet[Grant]", bool]:
        return selectors.grants_found(queryset, search_term), False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Grant]":
        return selectors.seen_by(reviewer(request), selectors.all_grants())

    @display(description="Grant", ordering="pk")
    def row(self, obj: Grant) -> str:
        return f"G-{obj.pk:06d}"

    @display(description="Holder", header=True)
    def holder(self, obj: Grant) -> list[str]:
        return [obj.account.name, obj.account.email]

    @display(
        description="Opens", label={"open": "success", "revoked": "danger", "suspended": "warning"}
    )
    def standing(self, obj: Grant) -> str:
        refusal = selectors.standing_of(obj).refusal
        return words.closed(refusal.code) if refusal else "open"

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_grant_act",
        )
        return [act, *past.urls(self.admin_site), *super().get_urls()]

    def act(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Who is no manager is refused by the service, which writes it down, before a form is read."""
        if not is_manager(request.user):
            grant = self.found(request, str(pk))
            request.POST = QueryDict(urlencode({"reason": "-", "confirm": str(grant)}))
        return super().act(request, pk, action)

    def form_for(self, action: str, obj: Grant, data: Any) -> forms.Form:
        form: forms.Form
        if action == GrantAction.REVOKE:
            form = RevokeForm(data, grant=obj)
        else:
            form = (OptionalReasonForm if action == GrantAction.REINSTATE else ReasonForm)(data)
        form.auto_id = f"id_{action}_%s"  # the reasons of two forms stand on one page
        return form

    def perform(self, action: str, obj: Grant, form: forms.Form, actor: Account) -> str:
        reason = form.cleaned_data["reason"]
        match action:
            case GrantAction.REVOKE:
                services.revoke(obj.pk, actor=actor, reason=reason)
            case GrantAction.SUSPEND:
                services.suspend(obj.pk, actor=actor, reason=reason)
            case GrantAction.REINSTATE:
                services.reinstate(obj.pk, actor=actor, reason=reason)
            case _:
                raise services.unknown_action(action)
        return TOLD[GrantAction(action)]

    def page_context(
        self, request: HttpRequest, obj: Grant, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        manages = is_manager(request.user)
        may = grant_actions_for(Grant.Status(obj.status)) if manages else frozenset()
        acts = [
            {
                "action": str(action),
                "label": str(action).capitalize(),
                "told": CONSEQUENCES[action],
                "form": bound.get(str(action)) or self.form_for(str(action), obj, None),
            }
            for action in ORDER
            if action in may
        ]
        return {
            "title": f"{obj.release.name} for {obj.account}",
            "grant": obj,
            "standing": selectors.standing_of(obj),
            "acts": acts,
            "manages": manages,
            "events": words.latest(history(obj)),
        }
