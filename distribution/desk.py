"""The managers' pages about downloads: of a release, under a grant; their quotas and exports."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_POST

from access_requests.models import Grant
from access_requests.selectors import standing_of
from distribution import charts, download_export, reports
from distribution.models import NetworkList, Quota
from distribution.services import quotas
from distribution.sizes import human, parsed
from portal.accounts.roles import is_manager
from portal.accounts.views import person
from portal.catalog.models import Release
from portal.refusals import Refusal

WINDOWS = {"7": "7 days", "30": "30 days", "365": "365 days"}
Page = Callable[..., HttpResponseBase]


class QuotaForm(forms.Form):
    bytes_per_day = forms.CharField(
        label="Bytes a day",
        required=False,
        max_length=30,
        help_text="Such as 130 GB; at least the largest file. A byte that comes again after a cut counts once.",
    )
    copies = forms.IntegerField(
        label="Copies of each file", required=False, min_value=1, max_value=10_000
    )
    transfers = forms.IntegerField(
        label="Transfers at once", required=False, min_value=1, max_value=10_000
    )

    def clean_bytes_per_day(self) -> int | None:
        text: str = self.cleaned_data["bytes_per_day"]
        try:
            found = parsed(text) if text.strip() else None
        except ValueError:
            raise forms.ValidationError("Write a number and a unit, such as 130 GB.") from None
        if found is not None and not 0 < found < 2**62:
            raise forms.ValidationError("Write a size that some file could have.")
        return found


def urls(site: AdminSite) -> list[URLPattern]:
    """Below the list of downloads, in the frame of this admin."""

    def view(page: Page, only: Callable[[Page], Page] = require_GET) -> Page:
        def for_managers(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            if not is_manager(request.user):
                raise Http404("for managers")
            return page(request, site=site, about=_about(**kwargs), **kwargs)

        return site.admin_view(only(for_managers))

    pages = []
    for kind, what in (("release", "releases/<slug:slug>/"), ("grant", "grants/<int:pk>/")):
        name = f"distribution_{kind}"
        pages += [
            path(what, view(show), name=f"{name}_downloads"),
            path(what + "quota/", view(set_quota, require_POST), name=f"{name}_quota"),
            path(what + "export/<slug:kind>/", view(export), name=f"{name}_export"),
        ]
    return pages


def url_of(about: Release | Grant) -> str:
    """The page about a release's downloads, or about a grant's."""
    if isinstance(about, Grant):
        return reverse("admin:distribution_grant_downloads", args=[about.pk])
    return reverse("admin:distribution_release_downloads", args=[about.slug])


def _about(slug: str = "", pk: int = 0, kind: str = "") -> Release | Grant:
    if slug:
        return get_object_or_404(Release, slug=slug)
    return get_object_or_404(Grant.objects.select_related("account", "release"), pk=pk)


def _of(about: Release | Grant) -> dict[str, Any]:
    return {"grant": about} if isinstance(about, Grant) else {"release": about}


def show(
    request: HttpRequest,
    *,
    site: AdminSite,
    about: Release | Grant,
    form: QuotaForm | None = None,
    status: int = 200,
    **kwargs: Any,
) -> HttpResponse:
    """Who downloaded what, from where, how much; what was denied; alarms; the quota."""
    days = request.GET.get("days", "30")
    days = days if days in WINDOWS else "30"
    rows = reports.downloads_of(**_of(about))
    networks, by_country = reports.places(rows, int(days))
    grant = about if isinstance(about, Grant) else None
    release = grant.release if grant else about
    assert isinstance(release, Release)
    context = {
        **site.each_context(request),
        "title": f"Downloads of {release.name}" + (f" by {grant.account.name}" if grant else ""),
        "grant": grant,
        "release": release,
        "standing": standing_of(grant) if grant else None,
        "here": url_of(about),
        "chart": charts.of_days(reports.per_day(rows, int(days))),
        "networks": networks[:30],
        "by_country": by_country,
        "network_list": NetworkList.objects.filter(is_current=True).first(),
        "denials": reports.denials(rows, int(days)),
        "rows": reports.latest(rows),
        "most_rows": reports.MOST_ROWS,
        "holders": [] if grant else reports.holders(release, int(days)),
        "files": reports.files_of(grant) if grant else [],
        "alarms": reports.standing_alarms(**_of(about)),
        "form": form or _quota_form(about),
        "limits": quotas.limits_of(grant) if grant else None,
        "days": days,
        "windows": WINDOWS.items(),
    }
    template = "distribution/desk/downloads.html"
    return TemplateResponse(request, template, context, status=status)


def _quota_form(about: Release | Grant) -> QuotaForm:
    quota = Quota.objects.filter(**_of(about)).first()
    values = quota.values() if quota else {}
    if values.get("bytes_per_day"):
        shown = human(values["bytes_per_day"])
        exact = parsed(shown) == values["bytes_per_day"]
        values["bytes_per_day"] = shown if exact else str(values["bytes_per_day"])
    return QuotaForm(initial=values)


def set_quota(
    request: HttpRequest, *, site: AdminSite, about: Release | Grant, **kwargs: Any
) -> HttpResponse:
    form = QuotaForm(request.POST)
    if not form.is_valid():
        return show(request, site=site, about=about, form=form, status=422)
    try:
        quotas.set_quota(actor=person(request), **_of(about), **form.cleaned_data)
    except Refusal as refusal:
        for field, errors in refusal.fields.items():
            form.add_error(field, errors)
        messages.error(request, f"{refusal.detail} {refusal.way_out}")
        return show(request, site=site, about=about, form=form, status=refusal.status)
    messages.success(request, "Set. It counts from the next request on.")
    return redirect(url_of(about))


def export(
    request: HttpRequest, *, about: Release | Grant, kind: str, **kwargs: Any
) -> HttpResponseBase:
    name = f"grant-{about.pk}" if isinstance(about, Grant) else about.slug
    return download_export.export(reports.downloads_of(**_of(about)), kind, name)
