"""The questions of each family; frozen as soon as an application answers them."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from access_requests import questions as rules
from access_requests import services
from access_requests.models import Form
from portal.accounts.roles import is_manager, is_reviewer


class IndentedJSON(forms.JSONField):
    """JSON as a person edits it: one thing a line."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):  # typed, and maybe not JSON at all: it comes back as it is
            return value
        return json.dumps(value, indent=2, ensure_ascii=False)


class QuestionsForm(forms.ModelForm):
    questions = IndentedJSON(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 30}),
        help_text="A list of {key, label, type, required, help, max_length, choices}. "
        f"Types: {', '.join(rules.TYPES)}.",
    )

    class Meta:
        model = Form
        fields = ("family", "questions")

    def clean_questions(self) -> Any:
        given = self.cleaned_data["questions"]
        if found := rules.problems(given):
            raise forms.ValidationError(found)
        return given


@admin.register(Form)
class FormAdmin(ModelAdmin):
    form = QuestionsForm
    actions = None
    list_display = ("__str__", "family", "version", "answered_by", "created_at")
    list_filter = ("family",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Form]":
        forms_ = super().get_queryset(request).select_related("family")
        return forms_.annotate(answers=Count("applications"))

    @display(description="Answered by")
    def answered_by(self, obj: Form) -> str:
        number = getattr(obj, "answers", 0)
        return f"{number} applications (frozen)" if number else "nobody yet"

    def get_readonly_fields(self, request: HttpRequest, obj: Form | None = None) -> tuple[str, ...]:
        return ("family",) if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "questions": rules.DEFAULT_QUESTIONS,
            **super().get_changeform_initial_data(request),
        }

    def save_model(self, request: HttpRequest, obj: Form, form: Any, change: bool) -> None:
        if change:
            services.change_form(obj.pk, obj.questions)
            return
        made = services.make_form(obj.family, obj.questions)
        obj.pk, obj.version = made.pk, made.version

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
