"""The audit log, to read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from portal.accounts.roles import is_auditor
from portal.audit.models import Event


class ReadOnly:
    """Nobody adds, changes or deletes here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission


@admin.register(Event)
class EventAdmin(ReadOnly, ModelAdmin):
    list_display = ("at", "verb", "actor_id", "subject_type", "subject_id", "data")
    list_filter = ("verb", "subject_type")
    search_fields = ("=subject_id", "=actor__email")
    date_hierarchy = "at"
    list_select_related = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_auditor(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return is_auditor(request.user)
