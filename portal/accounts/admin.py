"""People, for managers: roles are given and taken here."""

from typing import Any

import allauth.account.admin  # registers what is replaced below, as the next two do
import allauth.mfa.admin
import allauth.socialaccount.admin
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import StackedInline
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from portal.accounts import erasing, services
from portal.accounts.forms import EraseForm
from portal.accounts.models import Account, Affiliation
from portal.accounts.roles import is_manager, is_reviewer
from portal.accounts.views import person
from portal.model_admin import ModelAdmin
from portal.pages import CappedPaginator
from portal.refusals import Refusal

admin.site.unregister(Group)
# allauth's own pages show the keys themselves: nobody needs to read those, not even a superuser.
admin.site.unregister((Authenticator, SocialToken, EmailAddress, SocialAccount, SocialApp))


class AccountForm(ModelForm):
    """Asks the rule about roles, which its refusal explains beside the boxes."""

    actor: Account

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        try:
            services.check_roles(
                self.instance,
                actor=self.actor,
                wanted={group.name for group in given.get("groups", ())},
                is_active=bool(given.get("is_active")),
            )
        except Refusal as refusal:
            self.add_error("groups", f"{refusal.detail} {refusal.way_out}")
        return given


class AffiliationInline(StackedInline):
    model = Affiliation
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_reviewer(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission


@admin.register(Account)
class AccountAdmin(ModelAdmin):
    list_display = ("name", "email", "is_active", "is_staff", "date_joined")
    list_filter = ("is_active", "groups", ("erased_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "email", "affiliation__institution")
    show_full_result_count = False
    paginator = CappedPaginator
    list_per_page = 50
    fields = ("name", "email", "is_active", "groups", "last_login", "date_joined")
    readonly_fields = ("email", "last_login", "date_joined", "erased_at")
    actions_detail = ("erase",)
    inlines = (AffiliationInline,)
    form = AccountForm

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        form.actor = person(request)
        return form

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        return (*self.fields, *(("erased_at",) if obj and obj.erased_at else ()))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Four roles are boxes to tick, not two lists to move between."""
        widget = UnfoldAdminCheckboxSelectMultipleWidget
        return super().formfield_for_manytomany(db_field, request, **kwargs | {"widget": widget})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_reviewer(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        return is_reviewer(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        if obj is not None and obj.erased_at:
            return False
        return is_manager(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # people sign up themselves, with a verified address

    def has_delete_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Account, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "name" in form.changed_data:
            services.record_rename(obj, actor=person(request))

    def save_related(
        self, request: HttpRequest, form: ModelForm, formsets: Any, change: bool
    ) -> None:
        """Roles and closings are events: they decide who may decide."""
        account: Account = form.instance
        before = set(account.groups.values_list("name", flat=True))
        super().save_related(request, form, formsets, change)
        services.note_roles(account, actor=person(request), before=before)
        if "is_active" in form.changed_data:
            services.note_closing(account, actor=person(request))

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return is_manager(request.user)

    @action(description="Erase this person's data", permissions=["erase"], url_path="erase")
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What erasure does, and the buttons that ask for it and take it back."""
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404("no such account")
        form = EraseForm(request.POST if request.method == "POST" else None)
        back = reverse("admin:accounts_account_erase", args=[account.pk])
        if "take_back" in request.POST:
            erasing.take_back(account.pk, actor=person(request))
            messages.success(request, "Taken back: nothing is erased.")
            return redirect(back)
        if request.method == "POST" and form.is_valid():
            made = erasing.ask(account.pk, actor=person(request))
            told = f"Asked for: erased after {made.due_at:%-d %B %Y, %H:%M} UTC; they are told."
            messages.success(request, told)
            return redirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Erase the data of {account}",
            "account": account,
            "form": form,
            "waits": erasing.waiting(account),
            "hindrance": erasing.hindrance(account),
            "days": erasing.DAYS,
        }
        status = 422 if form.errors else 200
        return TemplateResponse(request, "accounts/erase_admin.html", context, status=status)


@admin.register(Authenticator)
class AuthenticatorAdmin(ModelAdmin):
    """Second factors, for superusers: a lost one is deleted, so that its owner sets up another."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("user__email",)
    fields = list_display

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(EmailAddress)
class EmailAddressAdmin(allauth.account.admin.EmailAddressAdmin, ModelAdmin):
    """For superusers: whose address is confirmed. allauth's own, in the look of the others."""


@admin.register(SocialAccount)
class SocialAccountAdmin(allauth.socialaccount.admin.SocialAccountAdmin, ModelAdmin):
    """For superusers: who signs in with an account of another site. allauth's own, as are its apps."""


@admin.register(SocialApp)
class SocialAppAdmin(allauth.socialaccount.admin.SocialAppAdmin, ModelAdmin):
    """For superusers: the other sites."""
