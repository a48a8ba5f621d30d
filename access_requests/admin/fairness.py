"""The fairness page: for managers."""

from collections.abc import Callable

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from access_requests import selectors
from portal.accounts.roles import is_manager

WINDOWS = {"90": "90 days", "365": "365 days", "3650": "ten years"}


def page_of(site: AdminSite) -> Callable[[HttpRequest], HttpResponse]:
    """The view, in the frame of this admin."""

    def fairness(request: HttpRequest) -> HttpResponse:
        if not is_manager(request.user):
            raise Http404("for managers")
        days = request.GET.get("days", "365")
        days = days if days in WINDOWS else "365"
        context = {
            **site.each_context(request),
            "title": "Fairness",
            "report": selectors.fairness_of(int(days)),
            "small": selectors.SMALL_GROUP,
            "days": days,
            "windows": WINDOWS.items(),
        }
        return TemplateResponse(request, "access_requests/review/fairness.html", context)

    return fairness
