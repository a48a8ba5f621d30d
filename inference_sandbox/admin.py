"""Sandbox runs, for managers: who used what when. Of what people wrote, only the length."""

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from inference_sandbox.models import Run
from portal.accounts.roles import is_manager
from portal.audit.admin import ReadOnly
from portal.pages import CappedPaginator

FIELDS = (
    *("id", "account", "release", "revision", "grant", "status", "finish_reason", "error", "mode"),
    *("prompt_length", "output_length", "prompt_tokens", "output_tokens", "tokens_per_second"),
    *("temperature", "top_p", "max_tokens", "seed", "engine"),
    *("created_at", "started_at", "finished_at"),
)


@admin.register(Run)
class RunAdmin(ReadOnly, ModelAdmin):
    list_display = (
        *("created_at", "account", "release", "status"),
        *("prompt_length", "output_length", "output_tokens"),
    )
    list_filter = ("status", "release")
    search_fields = ("=id", "=account__email")
    list_select_related = ("account", "release")
    show_full_result_count = False
    paginator = CappedPaginator
    fields = FIELDS
    readonly_fields = FIELDS

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Run]":
        # The texts themselves never leave the database.
        runs = super().get_queryset(request).defer("prompt", "output")
        return runs.annotate(prompt_chars=Length("prompt"), output_chars=Length("output"))

    @admin.display(description="prompt, characters", ordering="prompt_chars")
    def prompt_length(self, run: Run) -> int:
        return int(getattr(run, "prompt_chars", 0))

    @admin.display(description="answer, characters", ordering="output_chars")
    def output_length(self, run: Run) -> int:
        return int(getattr(run, "output_chars", 0))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        return is_manager(request.user)
