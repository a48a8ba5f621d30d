"""The page that comes before an act that many people feel: what it touches, why, and a typed name."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from access_requests.admin.grants import ReasonForm
from distribution import reports
from distribution.models import Revision
from portal.catalog.models import Release
from portal.refusals import Refusal


class ConfirmForm(ReasonForm):
    """A reason, and the repo id typed out."""

    def __init__(self, data: Any, *, repo_id: str, reader: str) -> None:
        super().__init__(data)
        self.repo_id = repo_id
        self.fields["reason"].help_text = reader
        self.fields["confirm"] = forms.CharField(
            label=f"Type {repo_id} to confirm",
            max_length=200,
            widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        )

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed.strip() != self.repo_id:
            raise forms.ValidationError(f"This is not the repo id. Type {self.repo_id}.")
        return typed


def confirm(
    request: HttpRequest,
    site: AdminSite,
    *,
    title: str,
    label: str,
    consequences: str,
    reader: str,
    release: Release,
    back: str,
    perform: Callable[[str], str],
    revision: Revision | None = None,
    instead: tuple[str, str] = ("", ""),
) -> HttpResponse:
    """Show the page, or do what its form asks for.

    label: of the button. reader: who reads the reason. perform: calls the service with the reason,
    returns what to say afterwards. instead: label and address of the act that may be the better one.
    """
    form = ConfirmForm(request.POST or None, repo_id=release.repo_id, reader=reader)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                messages.success(request, perform(form.cleaned_data["reason"]))
            except Refusal as refusal:
                messages.error(request, f"{refusal.detail} {refusal.way_out}")
                status = refusal.status
            else:
                return redirect(back)
    context = {
        **site.each_context(request),
        "title": title,
        "label": label,
        "consequences": consequences,
        "release": release,
        "revision": revision,
        "reach": reports.reach_of(release, revision),
        "form": form,
        "back": back,
        "instead": instead,
    }
    template = "distribution/desk/confirm.html"
    return TemplateResponse(request, template, context, status=status)
