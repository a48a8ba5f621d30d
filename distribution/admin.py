"""What managers see of downloads. Nothing here can be changed: a record is a record."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.decorators import display

from distribution import desk
from distribution.admin_releases import ReleaseAdmin
from distribution.admin_revisions import RevisionAdmin
from distribution.models import Alarm, Download, NetworkList
from distribution.services import alarms, network_lists
from distribution.sizes import human
from portal.accounts import roles
from portal.accounts.views import person as signed_in
from portal.model_admin import ModelAdmin
from portal.pages import CappedPaginator
from portal.refusals import Refusal

__all__ = ["DownloadAdmin", "ReleaseAdmin", "RevisionAdmin"]  # the admin looks for them here


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
        "file",
        "came_of_it",
        "sent",
        "network",
    )
    list_filter = ("outcome", "started_at", "code", "grant__release")
    list_select_related = ("grant__account", "grant__release", "artifact")
    search_fields = ("grant__account__email", "request_id")
    show_full_result_count = False
    paginator = CappedPaginator

    def get_urls(self) -> list[URLPattern]:
        return [*desk.urls(self.admin_site), *super().get_urls()]

    @admin.display(description="grant of", ordering="grant__account__email")
    def person(self, download: Download) -> str:
        if download.grant is None:
            return "unknown"
        return format_html(
            '<a href="{}">{}</a>', desk.url_of(download.grant), download.grant.account.email
        )

    @admin.display(ordering="grant__release__repo_id")
    def file(self, download: Download) -> str:
        """And its release under it."""
        path = download.artifact.path if download.artifact else "-"
        if download.grant is None:
            return path
        release = download.grant.release
        return format_html('{}<br><a href="{}">{}</a>', path, desk.url_of(release), release.repo_id)

    @admin.display(description="outcome", ordering="outcome")
    def came_of_it(self, download: Download) -> str:
        said = download.get_outcome_display()
        if download.code:
            said += f": {download.code}"
        return said if download.method == "GET" else f"{said} ({download.method})"

    @admin.display(ordering="bytes_sent")
    def sent(self, download: Download) -> str:
        sent = "not known" if download.bytes_sent is None else human(download.bytes_sent)
        return f"{sent} of {human(download.bytes_asked)}" if download.bytes_asked else "-"


class NoteForm(forms.Form):
    note = forms.CharField(
        label="What you found",
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=4000,
        help_text="For whoever looks next. It is not told to the holder.",
    )


@admin.register(Alarm)
class AlarmAdmin(ReadOnly, ModelAdmin):
    """What is not as usual; a page for each, with the button to dismiss it."""

    list_display = ("raised_at", "shown", "holder", "release", "state")
    list_filter = ("kind", ("dismissed_at", admin.EmptyFieldListFilter))
    list_select_related = ("grant__account", "grant__release", "dismissed_by")

    @admin.display(description="what")
    def shown(self, alarm: Alarm) -> str:
        return alarm.described

    @admin.display(description="grant of")
    def holder(self, alarm: Alarm) -> str:
        return alarm.grant.account.email

    @admin.display
    def release(self, alarm: Alarm) -> str:
        return alarm.grant.release.repo_id

    @display(label={"standing": "danger", "dismissed": "success"})
    def state(self, alarm: Alarm) -> str:
        return "dismissed" if alarm.dismissed_at else "standing"

    def get_urls(self) -> list[URLPattern]:
        dismiss = path(
            "<int:pk>/dismiss/",
            self.admin_site.admin_view(require_POST(self.dismiss)),
            name="distribution_alarm_dismiss",
        )
        return [dismiss, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self.page(request, self._found(request, object_id), NoteForm())

    def page(
        self, request: HttpRequest, alarm: Alarm, form: NoteForm, status: int = 200
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": str(alarm),
            "alarm": alarm,
            "form": form,
            "list_url": reverse("admin:distribution_alarm_changelist"),
        }
        template = "distribution/desk/alarm.html"
        return TemplateResponse(request, template, context, status=status)

    def dismiss(self, request: HttpRequest, pk: int) -> HttpResponse:
        alarm, form = self._found(request, str(pk)), NoteForm(request.POST)
        if not form.is_valid():
            return self.page(request, alarm, form, status=422)
        try:
            alarms.dismiss(alarm.pk, actor=signed_in(request), note=form.cleaned_data["note"])
        except Refusal as refusal:
            messages.error(request, f"{refusal.detail} {refusal.way_out}")
            return self.page(request, self._found(request, str(pk)), form, status=refusal.status)
        messages.success(request, "Dismissed.")
        return redirect(alarm.get_absolute_url())

    def _found(self, request: HttpRequest, object_id: str) -> Alarm:
        found = self.get_object(request, object_id)
        if found is None or not self.has_view_permission(request):
            raise Http404("no such alarm, or not for this person")
        return found


MOST_BYTES = 100 * 1024 * 1024  # of a list of networks


class NetworksForm(forms.Form):
    file = forms.FileField(help_text="At most 100 megabytes.")

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            raise forms.ValidationError("This file has more than 100 megabytes.")
        return file


@admin.register(NetworkList)
class NetworkListAdmin(ReadOnly, ModelAdmin):
    """One page: what is in use, and the form to load another."""

    readonly_fields = ("loaded_at",)

    def get_urls(self) -> list[URLPattern]:
        load = path(
            "load/",
            self.admin_site.admin_view(require_POST(self.load)),
            name="distribution_networklist_load",
        )
        return [load, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return self.page(request, NetworksForm())

    def page(self, request: HttpRequest, form: NetworksForm, status: int = 200) -> HttpResponse:
        if not self.has_view_permission(request):
            raise Http404("for managers")
        context = {
            **self.admin_site.each_context(request),
            "title": "Networks and countries",
            "current": NetworkList.objects.filter(is_current=True).first(),
            "form": form,
        }
        template = "distribution/desk/networks.html"
        return TemplateResponse(request, template, context, status=status)

    def load(self, request: HttpRequest) -> HttpResponse:
        form = NetworksForm(request.POST, request.FILES)
        if not self.has_view_permission(request) or not form.is_valid():
            return self.page(request, form, status=422)
        file: UploadedFile = form.cleaned_data["file"]
        try:
            made = network_lists.load(file, actor=signed_in(request), file_name=file.name or "list")
        except Refusal as refusal:
            form.add_error("file", f"{refusal.detail} {refusal.way_out}")
            return self.page(request, form, status=refusal.status)
        messages.success(request, f"{made.count} networks are in use.")
        return redirect("admin:distribution_networklist_changelist")
