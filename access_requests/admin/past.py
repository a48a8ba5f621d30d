"""The auditors' page about the past: who could open what, when, under which text, by whose decision."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from access_requests import past_rows
from access_requests.past_forms import PastForm, moment
from access_requests.selectors import past, past_decisions
from portal.accounts.roles import is_auditor


def urls(site: AdminSite) -> list[URLPattern]:
    """The three addresses, in the frame of this admin."""

    def view(page: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        def for_auditors(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            if not is_auditor(request.user):
                raise Http404("for auditors")
            return page(request, site, **kwargs)

        return site.admin_view(require_GET(for_auditors))

    return [
        path("then/", view(question), name="access_requests_past"),
        path("then/export/<slug:kind>/", view(export), name="access_requests_past_export"),
        path("then/<int:pk>/", view(one_grant), name="access_requests_past_grant"),
    ]


def question(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The question, and a page of its answer."""
    form = PastForm(request.GET or None, initial={"at": timezone.now().replace(microsecond=0)})
    context = {**site.each_context(request), "title": "Who could open what", "form": form}
    if form.is_bound and form.is_valid():
        context |= _answer(request, form)
    status = 422 if form.is_bound and form.errors else 200
    return TemplateResponse(request, "access_requests/review/past.html", context, status=status)


def _answer(request: HttpRequest, form: PastForm) -> dict[str, Any]:
    given = form.cleaned_data
    grants = past_decisions.asked(release=given["release"], account=given["person"])
    after = request.GET.get("after", "0")
    rows, more = past_decisions.rows_then(
        grants,
        given["at"],
        tier=given["tier"],
        only_open=given["only_open"],
        after=int(after) if after.isdecimal() and len(after) < 19 else 0,
    )
    query = request.GET.copy()
    query.pop("after", None)
    return {
        "answered": True,
        "rows": [(row, past_rows.why_not(row)) for row in rows],
        "more": more,
        "query": query.urlencode(),
        "given": given,
        "odd": past.without_beginning(grants, given["at"], only_open=given["only_open"]),
    }


def export(request: HttpRequest, site: AdminSite, kind: str) -> HttpResponseBase:
    """The whole answer as a file; a question that makes no sense goes back to its page."""
    form = PastForm(request.GET)
    if not form.is_valid():
        return redirect(f"{reverse('admin:access_requests_past')}?{request.GET.urlencode()}")
    given = form.cleaned_data
    grants = past_decisions.asked(release=given["release"], account=given["person"])
    return past_rows.export(
        grants, given["at"], kind, tier=given["tier"], only_open=given["only_open"]
    )


def one_grant(request: HttpRequest, site: AdminSite, pk: int) -> HttpResponse:
    """One line opened: the decisions, the evidence kept with them, and the exact text."""
    at = moment(request.GET.get("at", ""))
    then, decisions = past_decisions.decided_then(pk, at)
    acceptance = past_decisions.text_then(then)
    context = {
        **site.each_context(request),
        "title": f"{then.grant.release.name} for {then.grant.account}",
        "then": then,
        "decisions": decisions,
        "agreement": acceptance,
        "text_fits": past_decisions.text_fits(acceptance),
    }
    return TemplateResponse(request, "access_requests/review/past_grant.html", context)
