"""What managers set for decisions: approvals and checklists, targets, reasons, block list."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminEmailInputWidget

from access_requests import services
from access_requests.admin.desk import reviewer
from access_requests.models import Block, DecisionPolicy, ReasonTemplate, ReviewTarget
from portal.accounts.addresses import account_at, normalise_domain
from portal.accounts.roles import is_manager
from portal.audit.models import Verb
from portal.catalog.admin import Kept
from portal.model_admin import ModelAdmin


class ManagersSet(Kept, ModelAdmin):
    """Managers add and change; what may be deleted says so itself."""

    verb = Verb.POLICY_CHANGED
    actions = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    has_change_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    has_delete_permission = has_view_permission


@admin.register(DecisionPolicy)
class DecisionPolicyAdmin(ManagersSet):
    list_display = (
        *("release", "approvals", "number_of_items"),
        *("asks_official", "asks_referee", "second_looks"),
    )
    list_select_related = ("release",)

    @display(description="Checklist")
    def number_of_items(self, obj: DecisionPolicy) -> str:
        number = len(obj.items)
        return f"{number} item{'' if number == 1 else 's'}" if number else "none"


@admin.register(ReviewTarget)
class ReviewTargetAdmin(ManagersSet):
    list_display = ("family", "days")
    list_select_related = ("family",)


@admin.register(ReasonTemplate)
class ReasonTemplateAdmin(ManagersSet):
    list_display = ("title", "family", "is_active")
    list_select_related = ("family",)


class NewBlockForm(forms.ModelForm):
    """A person is named by the address, as managers know them; there are too many for a list."""

    person = forms.EmailField(
        label="Person's e-mail address",
        required=False,
        widget=UnfoldAdminEmailInputWidget,
        help_text="Of an account on this site. Fill in this or the mail domain.",
    )

    class Meta:
        model = Block
        fields = ("family", "domain", "reason", "ends_at")

    def clean_domain(self) -> str:
        return normalise_domain(self.cleaned_data["domain"])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        address = given.get("person")
        if address:
            self.instance.account = account_at(address)
            if self.instance.account is None:
                self.add_error("person", "No account here has this address.")
        if bool(address) == bool(given.get("domain")) and not self.errors:
            self.add_error("person", "Name either a person or a mail domain.")
        return given


@admin.register(Block)
class BlockAdmin(ManagersSet):
    """A block ends; it is never deleted, so that what was refused under it stays explained."""

    list_display = ("who", "family", "runs", "reason")
    list_filter = ("family",)
    search_fields = ("account__name", "account__email", "domain", "reason")
    list_select_related = ("family", "account")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("family", "account" if obj else "person", "domain", "reason", "ends_at")

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = NewBlockForm
        return super().get_form(request, obj, **kwargs)

    @display(description="Who")
    def who(self, obj: Block) -> str:
        return obj.domain or f"{obj.account}"

    @display(description="Runs")
    def runs(self, obj: Block) -> str:
        if not obj.is_running:
            return "ended"
        return f"until {obj.ends_at:%-d %B %Y}" if obj.ends_at else "without end"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("family", "account", "domain") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Block, form: Any, change: bool) -> None:
        given: dict[str, Any] = {
            "actor": reviewer(request),
            "reason": obj.reason,
            "ends_at": obj.ends_at,
        }
        if change:
            services.change_block(obj.pk, **given)
            return
        made = services.block(family=obj.family, account=obj.account, domain=obj.domain, **given)
        obj.pk, obj.created_by = made.pk, made.created_by
