"""The managers' page about the use of the sandbox under one grant, with its quota."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.forms.models import model_to_dict
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

from access_requests.models import Grant
from access_requests.selectors import standing_of
from inference_sandbox import quotas
from inference_sandbox.models import DayOfUse, Quota, Run
from portal.accounts.roles import is_manager
from portal.accounts.views import person
from portal.refusals import Refusal

DAYS, LATEST = 30, 20


class QuotaForm(forms.Form):
    tokens_per_day = forms.IntegerField(
        label="Tokens a day", required=False, help_text="Prompts and answers together, by UTC."
    )
    simultaneous = forms.IntegerField(
        label="Requests at once", required=False, help_text="Waiting or running; a job is one."
    )


def urls(site: AdminSite) -> list[URLPattern]:
    """Below the list of runs, in the frame of this admin."""

    def view(request: HttpRequest, pk: int) -> HttpResponse:
        if not is_manager(request.user):
            raise Http404("for managers")
        grant = get_object_or_404(Grant.objects.select_related("account", "release__family"), pk=pk)
        return (
            _set(request, site, grant) if request.method == "POST" else _show(request, site, grant)
        )

    page = site.admin_view(require_http_methods(["GET", "POST"])(view))
    return [path("grants/<int:pk>/", page, name="inference_sandbox_grant_use")]


def _show(
    request: HttpRequest,
    site: AdminSite,
    grant: Grant,
    form: QuotaForm | None = None,
    status: int = 200,
) -> HttpResponse:
    own = Quota.objects.filter(grant=grant).first()
    context = {
        **site.each_context(request),
        "title": f"Sandbox: {grant.release.name} by {grant.account.name}",
        "grant": grant,
        "standing": standing_of(grant),
        "use": quotas.use_of(grant),
        "own": own,
        "form": form or QuotaForm(initial=model_to_dict(own) if own else {}),
        "days": DayOfUse.objects.filter(grant=grant).order_by("-day")[:DAYS],
        # The texts themselves never leave the database.
        "runs": Run.objects.filter(grant=grant).defer("prompt", "output", "messages")[:LATEST],
    }
    return TemplateResponse(request, "inference_sandbox/desk/grant.html", context, status=status)


def _set(request: HttpRequest, site: AdminSite, grant: Grant) -> HttpResponse:
    form = QuotaForm(request.POST)
    if not form.is_valid():
        return _show(request, site, grant, form, status=422)
    values: dict[str, Any] = form.cleaned_data
    try:
        quotas.set_quota(grant, actor=person(request), **values)
    except Refusal as refusal:
        for field, errors in refusal.fields.items():
            form.add_error(field, errors)
        messages.error(request, f"{refusal.detail} {refusal.way_out}")
        return _show(request, site, grant, form, status=422)
    messages.success(request, "Set. It counts from the next prompt on.")
    return redirect("admin:inference_sandbox_grant_use", grant.pk)
