"""Automatic rules: written by managers, with a look at what each would have done."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import selectors, services
from access_requests.admin.desk import Desk, reviewer
from access_requests.evidence import CONDITIONS, switched_off
from access_requests.models import AutomaticRule
from portal.accounts.models import Account
from portal.accounts.roles import is_manager
from portal.catalog.models import Family, Release
from portal.names import NameInput
from portal.refusals import Refusal


def _conditions() -> list[tuple[str, str]]:
    off = switched_off()
    return [
        (key, f"{label} (switched off on this site: a rule with it decides nothing)")
        if key in off
        else (key, label)
        for key, label in CONDITIONS.items()
    ]


class RuleForm(forms.Form):
    """A rule in words: no code, only which checks have to support."""

    name = NameInput(
        max_length=60, help_text="Reviewers read: approved by the rule \u201c\u2026\u201d."
    )
    conditions = forms.MultipleChoiceField(
        label="Approves when all of these are borne out, and no check says to look closer",
        choices=_conditions,
        widget=forms.CheckboxSelectMultiple,
    )
    releases = forms.ModelMultipleChoiceField(
        queryset=Release.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Only applications for these alone; for all of the family when none is chosen.",
    )
    grant_days = forms.IntegerField(
        label="Days of the grant", min_value=1, max_value=366, initial=90
    )
    is_active = forms.BooleanField(
        label="In force",
        required=False,
        help_text="Off: it decides nothing, and you can look at what it would have done.",
    )

    def __init__(self, rule: AutomaticRule | None, data: Any = None) -> None:
        super().__init__(data, initial=_initial(rule))
        field = self.fields["releases"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        releases = Release.objects.order_by("family__name", "position", "pk")
        field.queryset = releases.filter(family=rule.family_id) if rule else releases
        if rule is None:
            families = Family.objects.order_by("name")
            self.fields["family"] = forms.ModelChoiceField(queryset=families)
            self.order_fields(["name", "family", "releases"])


def _initial(rule: AutomaticRule | None) -> dict[str, Any]:
    if rule is None:
        return {}
    return {
        "name": rule.name,
        "conditions": rule.conditions,
        "releases": rule.releases.all(),
        "grant_days": rule.grant_days,
        "is_active": rule.is_active,
    }


@admin.register(AutomaticRule)
class AutomaticRuleAdmin(Desk):
    """Never deleted: its decisions name it."""

    page_template = "access_requests/review/rule.html"
    list_display = ("name", "family", "asks", "in_force")
    list_select_related = ("family",)
    list_before_template = "access_requests/review/rules_about.html"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AutomaticRule]":
        return AutomaticRule.objects.select_related("family", "account")

    @display(description="Asks for")
    def asks(self, obj: AutomaticRule) -> str:
        return "; ".join(CONDITIONS.get(key, key) for key in obj.conditions)

    @display(description="In force", boolean=True)
    def in_force(self, obj: AutomaticRule) -> bool:
        return obj.is_active

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_automaticrule_act",
        )
        return [act, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The same page as for changing one, without a preview."""
        if not is_manager(request.user):
            raise Http404("for managers")
        if request.method != "POST":
            return self.page(request, None)
        form = RuleForm(None, request.POST)
        if not form.is_valid():
            return self.page(request, None, {"save": form}, status=422)
        try:
            rule = services.write_rule(None, actor=reviewer(request), **form.cleaned_data)
        except Refusal as refusal:
            _add_errors(form, refusal)
            return self.page(request, None, {"save": form}, status=refusal.status)
        messages.success(request, f"The rule is written. {_told(rule)}")
        return redirect(self.url_of(rule))

    def form_for(self, action: str, obj: AutomaticRule, data: Any) -> forms.Form:
        return RuleForm(obj, data)

    def perform(self, action: str, obj: AutomaticRule, form: forms.Form, actor: Account) -> str:
        if action != "save":
            raise services.unknown_action(action)
        given = {"family": obj.family, **form.cleaned_data}
        return f"The rule is changed. {_told(services.write_rule(obj.pk, actor=actor, **given))}"

    def page_context(
        self, request: HttpRequest, obj: AutomaticRule | None, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        return {
            "title": obj.name if obj else "A new rule",
            "rule": obj,
            "form": bound.get("save") or RuleForm(obj),
            "preview": selectors.preview(obj) if obj else None,
            "look_back": selectors.LOOK_BACK,
            "labels": [CONDITIONS.get(key, key) for key in obj.conditions] if obj else [],
        }


def _told(rule: AutomaticRule) -> str:
    if rule.is_active:
        return "It is in force: it is asked after each submission from now on."
    return "It is not in force; below is what it would have done."


def _add_errors(form: forms.Form, refusal: Refusal) -> None:
    for name, lines in refusal.fields.items():
        for line in lines:
            form.add_error(name, line)
