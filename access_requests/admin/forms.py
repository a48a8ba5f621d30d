"""The questions of each family, built without code; frozen as soon as an application answers."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import question_rules, services
from access_requests.admin import question_rows
from access_requests.admin.question_rows import Row
from access_requests.answers import AnswersForm
from access_requests.models import Form
from access_requests.questions import DEFAULT_QUESTIONS, TYPES
from portal.accounts.roles import is_manager, is_reviewer
from portal.accounts.views import person
from portal.catalog.models import Family
from portal.model_admin import ModelAdmin
from portal.refusals import Refusal


@dataclass(frozen=True)
class Line:
    """One row as the page shows it."""

    at: int
    row: Row
    inputs: frozenset[str]
    errors: list[str]
    deciders: list[tuple[str, str]]
    is_first: bool
    is_last: bool

    @property
    def knows_its_decider(self) -> bool:
        return self.row["show_key"] in dict(self.deciders)


@dataclass(frozen=True)
class Builder:
    """What stands on the page: the rows as typed, and which form they are of."""

    rows: list[Row]
    family: Family | None
    form: Form | None = None
    errors: dict[int, list[str]] | None = None
    note: str = ""

    def lines(self) -> list[Line]:
        last = len(self.rows) - 1
        return [
            Line(
                at,
                row,
                question_rows.inputs_of(row),
                (self.errors or {}).get(at, []),
                question_rows.deciders(self.rows, at),
                at == 0,
                at == last,
            )
            for at, row in enumerate(self.rows)
        ]


@admin.register(Form)
class FormAdmin(ModelAdmin):
    actions = None
    list_display = ("__str__", "family", "version", "answered_by", "created_at")
    list_filter = ("family",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Form]":
        forms_ = super().get_queryset(request).select_related("family")
        return forms_.annotate(answers=Count("applications"))

    @display(description="Answered by")
    def answered_by(self, obj: Form) -> str:
        number = getattr(obj, "answers", 0)
        if not number:
            return "nobody yet"
        return f"{number} application{'' if number == 1 else 's'} (frozen)"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "preview/",
                wrap(require_POST(self.preview)),
                name="access_requests_form_preview",
            ),
            path(
                "<int:pk>/preview/",
                wrap(self.preview_saved),
                name="access_requests_form_preview_saved",
            ),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A new version: from the default questions, or from another version (`?from=`)."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)
        if request.method == "POST":
            return self._posted(request, None)
        source = self.get_object(request, request.GET.get("from", ""))
        questions = source.questions if source else DEFAULT_QUESTIONS
        family = source.family if source else None
        rows = [question_rows.row_of(question) for question in questions]
        return self._page(request, Builder(rows, family))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        form = self.get_object(request, object_id) if self.has_view_permission(request) else None
        if form is None:
            raise Http404("no such form, or none that this person may know of")
        if not self.has_change_permission(request, form):
            return self._read_only(request, form, 403 if request.method == "POST" else 200)
        if request.method == "POST":
            return self._posted(request, form)
        rows = [question_rows.row_of(question) for question in form.questions]
        return self._page(request, Builder(rows, form.family, form))

    def _posted(self, request: HttpRequest, form: Form | None) -> HttpResponse:
        """A button of the page; saving is one of them, and the others change only the page."""
        rows = question_rows.rows_of(request.POST)
        slug = request.POST.get("family", "")
        family = form.family if form else Family.objects.filter(slug=slug).first()
        do = request.POST.get("do", "save")
        if do != "save":
            rows = question_rows.changed(rows, do)
            note = "Not saved yet: press Save when the form is as you want it."
            return self._page(request, Builder(rows, family, form, note=note))
        questions = question_rows.questions_of(rows)
        if family is None or question_rules.problems(questions):
            return self._wrong(request, rows, family, form)
        try:
            saved = (
                services.change_form(form.pk, questions, actor=person(request))
                if form
                else services.make_form(family, questions, actor=person(request))
            )
        except Refusal as refusal:
            messages.error(request, f"{refusal.detail} {refusal.way_out}")
            return self._page(request, Builder(rows, family, form), status=refusal.status)
        messages.success(request, f"{saved} is saved. New applications answer it from now on.")
        return redirect("admin:access_requests_form_change", saved.pk)

    def _wrong(
        self, request: HttpRequest, rows: list[Row], family: Family | None, form: Form | None
    ) -> HttpResponse:
        questions = question_rows.questions_of(rows)
        by_question = question_rules.problems_by_question(questions)
        lines = [] if by_question else question_rules.problems(questions)
        if family is None:
            lines.append("Choose the family that the form is for.")
        note = " ".join(["Not saved. Mend what is marked; all you typed is here.", *lines])
        builder = Builder(rows, family, form, by_question, note)
        return self._page(request, builder, status=422)

    def _page(self, request: HttpRequest, builder: Builder, status: int = 200) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(builder.form or "A new form"),
            "builder": builder,
            "lines": builder.lines(),
            "types": TYPES.items(),
            "families": Family.objects.order_by("name"),
            "list_url": reverse("admin:access_requests_form_changelist"),
        }
        if getattr(request, "htmx", False) and status == 422:
            status = 200  # htmx shows only what answers 200
        return TemplateResponse(request, "access_requests/forms/build.html", context, status=status)

    def _read_only(self, request: HttpRequest, form: Form, status: int) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(form),
            "form": form,
            "shown": AnswersForm(form, strict=False).shown(),
            "types": TYPES,
            "answers": form.applications.count(),
            "manages": self.has_add_permission(request),
            "list_url": reverse("admin:access_requests_form_changelist"),
        }
        return TemplateResponse(request, "access_requests/forms/show.html", context, status=status)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The questions as typed, as an applicant will see them; nothing is saved."""
        if not self.has_add_permission(request):
            raise Http404("for managers")
        rows = question_rows.rows_of(request.POST)
        questions = question_rows.questions_of(rows)
        family = Family.objects.filter(slug=request.POST.get("family", "")).first()
        found = question_rules.problems(questions)
        form = Form(family=family, questions=[] if found else questions)
        return self._preview(request, form, found)

    def preview_saved(self, request: HttpRequest, pk: int) -> HttpResponse:
        form = self.get_object(request, str(pk)) if self.has_view_permission(request) else None
        if form is None:
            raise Http404("no such form, or none that this person may know of")
        return self._preview(request, form, [])

    def _preview(self, request: HttpRequest, form: Form, found: list[str]) -> HttpResponse:
        context = {
            "title_of": form.family.name if form.family_id else "a family",
            "form": AnswersForm(form, strict=False, prefix="answers"),
            "problems": found,
            "files": {},
        }
        status = 422 if found else 200
        return render(request, "access_requests/forms/preview.html", context, status=status)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_reviewer(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_reviewer(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Form | None = None) -> bool:
        if obj is not None and obj.is_frozen:
            return False
        return is_manager(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
