"""Who accepted which licence text, to read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from access_requests.models import LicenceAcceptance
from portal.accounts.roles import is_reviewer
from portal.model_admin import ModelAdmin


@admin.register(LicenceAcceptance)
class LicenceAcceptanceAdmin(ModelAdmin):
    actions = None
    list_display = ("account", "licence_version", "typed_name", "accepted_at")
    list_filter = ("licence_version__licence",)
    list_select_related = ("account", "licence_version__licence")
    search_fields = ("account__name", "account__email", "typed_name")
    date_hierarchy = "accepted_at"
    readonly_fields = ("accepted_at",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_reviewer(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_reviewer(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission
