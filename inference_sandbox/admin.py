"""Sandbox runs, for managers: who used what when. Of what people wrote, only the length.

But of a run that somebody reported: its page has the texts, for that is what the report is about.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.decorators import display

from inference_sandbox import desk, reports
from inference_sandbox.models import Report, Run
from portal.accounts.roles import is_manager
from portal.accounts.views import person
from portal.audit.admin import ReadOnly
from portal.model_admin import ModelAdmin
from portal.pages import CappedPaginator
from portal.refusals import Refusal

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
        runs = super().get_queryset(request).defer("prompt", "output", "messages", "note")
        return runs.annotate(prompt_chars=Length("prompt"), output_chars=Length("output"))

    @admin.display(description="prompt, characters", ordering="prompt_chars")
    def prompt_length(self, run: Run) -> int:
        return int(getattr(run, "prompt_chars", 0))

    @admin.display(description="answer, characters", ordering="output_chars")
    def output_length(self, run: Run) -> int:
        return int(getattr(run, "output_chars", 0))

    def get_urls(self) -> list[URLPattern]:
        return [*desk.urls(self.admin_site), *super().get_urls()]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        return is_manager(request.user)


class AnswerForm(forms.Form):
    answer = forms.CharField(
        label="What came of it",
        widget=forms.Textarea(attrs={"rows": 5}),
        max_length=reports.LONGEST,
    )


@admin.register(Report)
class ReportAdmin(ReadOnly, ModelAdmin):
    """The queue of reported outputs; a page for each, with the run and the answer to write."""

    list_display = ("created_at", "kind", "release", "reporter", "state")
    list_filter = (("closed_at", admin.EmptyFieldListFilter), "kind", "run__release")
    list_select_related = ("run__release", "reporter")

    @admin.display(ordering="run__release__repo_id")
    def release(self, report: Report) -> str:
        return report.run.release.repo_id

    @display(label={"waits": "warning", "answered": "success"})
    def state(self, report: Report) -> str:
        return "answered" if report.closed_at else "waits"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Report | None = None) -> bool:
        return is_manager(request.user)

    def get_urls(self) -> list[URLPattern]:
        close = self.admin_site.admin_view(require_POST(self.close))
        return [
            path("<int:pk>/close/", close, name="inference_sandbox_report_close"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self.page(request, self._found(request, object_id), AnswerForm())

    def page(
        self, request: HttpRequest, report: Report, form: AnswerForm, status: int = 200
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Reported output",
            "report": report,
            "run": report.run,
            "form": form,
            "list_url": reverse("admin:inference_sandbox_report_changelist"),
        }
        template = "inference_sandbox/desk/report.html"
        return TemplateResponse(request, template, context, status=status)

    def close(self, request: HttpRequest, pk: int) -> HttpResponse:
        report, form = self._found(request, str(pk)), AnswerForm(request.POST)
        if not form.is_valid():
            return self.page(request, report, form, status=422)
        try:
            answer = form.cleaned_data["answer"]
            reports.close_report(report.pk, actor=person(request), answer=answer)
        except Refusal as refusal:
            messages.error(request, f"{refusal.detail} {refusal.way_out}")
            return self.page(request, self._found(request, str(pk)), form, status=refusal.status)
        messages.success(request, "Answered, and the reporter has a mail.")
        return redirect(report.get_absolute_url())

    def _found(self, request: HttpRequest, object_id: str) -> Report:
        found: Report | None = self.get_object(request, object_id)
        if found is None or not self.has_view_permission(request):
            raise Http404("no such report, or not for this person")
        return found
