"""What mail left and what still waits, for managers. Not what it says: a mail may carry a link that
speaks for its reader, such as one that sets a new password.
"""

from django.contrib import admin
from django.http import HttpRequest

from portal.accounts.roles import is_manager
from portal.audit.admin import ReadOnly
from portal.mail.models import OutgoingMail
from portal.model_admin import ModelAdmin
from portal.pages import CappedPaginator


@admin.register(OutgoingMail)
class OutgoingMailAdmin(ReadOnly, ModelAdmin):
    list_display = ("created_at", "to", "subject", "sent_at", "attempts", "last_error")
    list_filter = (("sent_at", admin.EmptyFieldListFilter), "template")
    search_fields = ("to", "subject")
    show_full_result_count = False
    paginator = CappedPaginator
    # Not the body: it may hold a key that opens another person's account.
    fields = (
        *("to", "template", "subject", "created_at", "sent_at", "attempts", "next_attempt_at"),
        "last_error",
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: OutgoingMail | None = None) -> bool:
        return is_manager(request.user)
