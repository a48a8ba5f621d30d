"""What the pages of the review desk share."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from portal.accounts.models import Account
from portal.accounts.roles import is_reviewer
from portal.model_admin import ModelAdmin
from portal.pages import CappedPaginator, FoundPaginator
from portal.refusals import Refusal


def reviewer(request: HttpRequest) -> Account:
    """The person at the desk; the admin lets nobody else in."""
    assert isinstance(request.user, Account)
    return request.user


class Desk(ModelAdmin):
    """A list to look at and a page of our own for each row, whose buttons call the services.

    Nothing is added, edited or deleted through the admin's own forms.
    """

    page_template: str
    actions: Any = None
    show_full_result_count = False
    list_per_page = 50
    sortable_by: Any = ()  # where an index gives the order; others would sort the whole table

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> CappedPaginator:
        searches = request.GET.get(SEARCH_VAR, "").strip()
        return (FoundPaginator if searches else CappedPaginator)(*args, **kwargs)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_reviewer(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_reviewer(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return self.page(request, self.found(request, object_id))

    def desk_only(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise Http404("not at the desk")

    def found(self, request: HttpRequest, object_id: str) -> Any:
        self.desk_only(request)
        found = self.get_object(request, str(object_id))
        if found is None:
            raise Http404("no such row, or none that reviewers may know of")
        return found

    def page(
        self,
        request: HttpRequest,
        obj: Any,
        bound: dict[str, forms.Form] | None = None,
        status: int = 200,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(obj),
            "list_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
            **self.page_context(request, obj, bound or {}),
        }
        return TemplateResponse(request, self.page_template, context, status=status)

    def page_context(
        self, request: HttpRequest, obj: Any, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        raise NotImplementedError

    def perform(self, action: str, obj: Any, form: forms.Form, actor: Account) -> str:
        """Call the service of the action; return what to tell the person."""
        raise NotImplementedError

    def form_for(self, action: str, obj: Any, data: Any) -> forms.Form:
        raise NotImplementedError

    def act(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """A button of the page. What was typed comes back when the act is refused."""
        obj = self.found(request, str(pk))
        form = self.form_for(action, obj, request.POST)
        if not form.is_valid():
            # The field may stand far below the top of the page, which is what is shown.
            messages.error(
                request, "Not done yet. Mend the marked fields; what you typed is still here."
            )
            return self.page(request, obj, {action: form}, status=422)
        try:
            told = self.perform(action, obj, form, reviewer(request))
        except Refusal as refusal:
            messages.error(request, f"{refusal.detail} {refusal.way_out}")
            return self.page(
                request, self.found(request, str(pk)), {action: form}, status=refusal.status
            )
        messages.success(request, told)
        return redirect(self.url_of(obj))

    def url_of(self, obj: Model) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[obj.pk])
