"""The audit log, to read: its events, its seals, the proof of one event, and all of it as a file."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from portal.accounts.roles import is_auditor
from portal.audit import selectors, verifying
from portal.audit.exporting import export
from portal.audit.filters import SealedFilter, SealFilter, SubjectFilter, TimeFilter
from portal.audit.models import Event, Seal
from portal.model_admin import ModelAdmin
from portal.pages import CappedPaginator

SHORT = 90  # characters of an event's data in the list


class ReadOnly:
    """Nobody adds, changes or deletes here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission


class ForAuditors(ReadOnly, ModelAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_auditor(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_auditor(request.user)


@admin.register(Event)
class EventAdmin(ForAuditors):
    list_display = ("at", "verb", "actor_id", "about", "in_short", "seal")
    list_filter = (SealedFilter, TimeFilter, "verb", SubjectFilter, SealFilter)
    search_fields = ("=subject_id",)
    search_help_text = "The id of what it is about, or the e-mail address of who did it"
    ordering = ("-at", "-id")  # the order of the indexes
    sortable_by = ("at",)
    list_per_page = 50
    list_select_related = False
    show_full_result_count = False
    paginator = CappedPaginator
    list_before_template = "audit/export.html"
    fields = ("id", "at", "verb", "actor_id", "subject_type", "subject_id", "data", "seal", "proof")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Event]":
        return super().get_queryset(request).annotate(in_seal=F("sealed__seal_id"))

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Event]", search_term: str
    ) -> tuple["QuerySet[Event]", bool]:
        return selectors.about(queryset, search_term), False

    @admin.display(description="About")
    def about(self, event: Event) -> str:
        return f"{event.subject_type.rpartition('.')[2]} {event.subject_id}"

    @admin.display(description="Data")
    def in_short(self, event: Event) -> str:
        """Its page has the whole, and digests in their length, which no line breaks."""
        parts = (f"{name}: {Truncator(value).chars(24)}" for name, value in event.data.items())
        return Truncator(", ".join(parts)).chars(SHORT)

    @admin.display(description="Seal")
    def seal(self, event: Event) -> str:
        number = event.in_seal  # type: ignore[attr-defined]
        if number is None:
            return "waits"
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:audit_seal_change", args=[number]), number
        )

    @admin.display(description="Proof")
    def proof(self, event: Event) -> str:
        if event.in_seal is None:  # type: ignore[attr-defined]
            return "In a minute; no seal has it yet."
        return format_html(
            '<a href="{}">Download the proof of this event</a>, to be checked without this site',
            reverse("admin:audit_event_proof", args=[event.pk]),
        )

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("export/<slug:kind>/", wrap(self.export), name="audit_event_export"),
            path("<int:pk>/proof/", wrap(self.prove), name="audit_event_proof"),
            *super().get_urls(),
        ]

    def export(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """What the list shows under the same filters, all pages of it."""
        if not self.has_view_permission(request):
            raise Http404("not an auditor")
        return export(self.get_changelist_instance(request).get_queryset(request), kind)

    def prove(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise Http404("not an auditor")
        response = JsonResponse(verifying.prove(pk), json_dumps_params={"indent": 2})
        response["Content-Disposition"] = f'attachment; filename="event-{pk}-proof.json"'
        return response


@admin.register(Seal)
class SealAdmin(ForAuditors):
    list_display = ("number", "sealed_at", "count", "first_event", "last_event", "key_id")
    list_filter = ("key_id",)
    show_full_result_count = False
    paginator = CappedPaginator
    list_per_page = 50
    fields = (
        "number",
        "sealed_at",
        "count",
        "events",
        "root",
        "previous",
        "own_hash",
        "signature",
        "key_id",
        "newest_at",
    )

    @admin.display(description="Its events")
    def events(self, seal: Seal) -> str:
        address = reverse("admin:audit_event_changelist")
        return format_html('<a href="{}?in_seal={}">See its events</a>', address, seal.number)

    @admin.display(description="Hash")
    def own_hash(self, seal: Seal) -> str:
        return seal.hash
