"""The evidence lists: what is loaded, from when, how many, and the form to load a new one."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from access_requests import services
from access_requests.admin.desk import reviewer
from access_requests.evidence import packaged
from access_requests.models import EvidenceList
from portal.accounts.roles import is_manager
from portal.model_admin import ModelAdmin
from portal.refusals import Refusal

MOST_BYTES = 100 * 1024 * 1024
Kind = EvidenceList.Kind
# What a manager has to know of each kind before they choose a file.
ABOUT = {
    Kind.INSTITUTIONS: {
        "what": "Mail domains and names are looked up in it: is this the address of a research "
        "institution, and of which kind? Load the dump of the Research Organization Registry "
        "(ROR) as it is published, a .zip or .json in its schema 2 or 1.",
        "without": "Until one is loaded, only the public list of academic mail domains that comes "
        "with this site is asked, and no institution's kind is known.",
        "accept": ".zip,.json",
    },
    Kind.LISTED: {
        "what": "Names of applicants, co-applicants and institutions, and the country of the "
        "affiliation, are looked up in it. Load a .csv with the columns kind, name, aliases, "
        "source, note (kind: person, organisation or country; aliases with semicolons between), "
        "or OpenSanctions\u2019 simple CSV; also in a .zip.",
        "without": "Until one is loaded, nobody is looked up, and the evidence says so.",
        "accept": ".csv,.zip",
    },
}


class LoadForm(forms.Form):
    file = forms.FileField(
        help_text="At most 100 megabytes. The list in use stays until the new one is read."
    )
    version = forms.CharField(
        max_length=60, required=False, help_text="Where the file\u2019s name does not say it."
    )
    dated = forms.DateField(
        label="Date of the list",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Likewise. Findings name it.",
    )

    def __init__(self, kind: str, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files, auto_id=f"id_{kind}_%s")
        self.fields["file"].widget.attrs["accept"] = ABOUT[Kind(kind)]["accept"]

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            raise forms.ValidationError(
                "This file has more than 100 megabytes. Load it on the server, with a command."
            )
        return file


@admin.register(EvidenceList)
class EvidenceListAdmin(ModelAdmin):
    """One page for all kinds; a loading is never changed or deleted."""

    readonly_fields = ("loaded_at",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_delete_permission = has_change_permission

    def get_urls(self) -> list[URLPattern]:
        load = path(
            "load/<slug:kind>/",
            self.admin_site.admin_view(require_POST(self.load)),
            name="access_requests_evidencelist_load",
        )
        return [load, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return self.page(request, {})

    def page(
        self, request: HttpRequest, bound: dict[str, LoadForm], status: int = 200
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise Http404("for managers")
        current = {
            one.kind: one for one in EvidenceList.objects.filter(status=EvidenceList.Status.CURRENT)
        }
        context = {
            **self.admin_site.each_context(request),
            "title": "Evidence lists",
            "kinds": [
                {
                    "kind": kind,
                    "label": kind.label,
                    "current": current.get(kind.value),
                    "form": bound.get(kind.value) or LoadForm(kind.value),
                    **ABOUT[kind],
                }
                for kind in Kind
            ],
            "packaged": [packaged.swot_source(), packaged.disposable_source()],
            "loadings": EvidenceList.objects.select_related("loaded_by")[:20],
        }
        template = "access_requests/review/lists.html"
        return TemplateResponse(request, template, context, status=status)

    def load(self, request: HttpRequest, kind: str) -> HttpResponse:
        if not self.has_view_permission(request) or kind not in Kind.values:
            raise Http404("no such kind of list, or not for this person")
        form = LoadForm(kind, request.POST, request.FILES)
        if not form.is_valid():
            return self.page(request, {kind: form}, status=422)
        given = form.cleaned_data
        file: UploadedFile = given["file"]
        try:
            made = services.load_list(
                kind,
                file,
                actor=reviewer(request),
                file_name=file.name or "list",
                version=given["version"],
                dated=given["dated"],
            )
        except Refusal as refusal:
            form.add_error("file", f"{refusal.detail} {refusal.way_out}")
            return self.page(request, {kind: form}, status=refusal.status)
        messages.success(request, f"{made.count} entries are in use: {made.described}.")
        return redirect("admin:access_requests_evidencelist_changelist")
