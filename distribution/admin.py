"""What managers see of downloads. Nothing here can be changed: a record is a record."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from distribution.admin_revisions import RevisionAdmin
from distribution.models import Download
from distribution.sizes import human
from portal.accounts import roles
from portal.pages import CappedPaginator

__all__ = ["DownloadAdmin", "RevisionAdmin"]  # the admin looks for both here


class ReadOnly:
    """For managers to read, for nobody to change."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return roles.is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return roles.is_manager(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Download)
class DownloadAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "started_at",
        "person",
        "release",
        "artifact",
        "method",
        "outcome",
        "code",
        "asked",
        "sent",
        "ip",
    )
    list_filter = ("outcome", "started_at", "code", "grant__release")
    list_select_related = ("grant__account", "grant__release", "artifact")
    search_fields = ("grant__account__email", "request_id")
    show_full_result_count = False
    paginator = CappedPaginator

    @admin.display(description="grant of", ordering="grant__account__email")
    def person(self, download: Download) -> str:
        return download.grant.account.email if download.grant else "unknown"

    @admin.display(ordering="grant__release__repo_id")
    def release(self, download: Download) -> str:
        return download.grant.release.repo_id if download.grant else ""

    @admin.display(ordering="bytes_asked")
    def asked(self, download: Download) -> str:
        return human(download.bytes_asked)

    @admin.display(ordering="bytes_sent")
    def sent(self, download: Download) -> str:
        return "" if download.bytes_sent is None else human(download.bytes_sent)
