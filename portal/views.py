"""The home page, health, and the pages for what went wrong."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from portal import problems
from portal import state as site_state
from portal.accounts.roles import is_auditor, is_operator, is_reviewer, roles_of
from portal.admin_site import readers_of
from portal.catalog import selectors
from portal.refusals import Code, Refusal


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html", {"families": selectors.families_with_releases()})


def desk(request: HttpRequest) -> HttpResponse:
    """Where the admin begins: the queue for reviewers, the log for those who only audit, the state of
    the site for those who only operate it.
    """
    if is_operator(request.user) and not is_reviewer(request.user) and not is_auditor(request.user):
        return redirect("state")
    queue = is_reviewer(request.user) or not request.user.is_authenticated
    name = "access_requests_application" if queue else "audit_event"
    return redirect(f"admin:{name}_changelist")


@admin.site.admin_view
def state(request: HttpRequest) -> HttpResponse:
    """For operators: whether the parts of the site answer."""
    if not is_operator(request.user):
        raise PermissionDenied
    parts = site_state.parts()
    levels = [part.level for part in parts]
    context = {
        **admin.site.each_context(request),
        "title": "State of the site",
        "parts": parts,
        "level": next((level for level in ("bad", "warn") if level in levels), "ok"),
        "asked": timezone.now(),
    }
    return TemplateResponse(
        request, "state/page.html", context, headers={"Cache-Control": "no-store"}
    )


def health(request: HttpRequest) -> JsonResponse:
    """200 when this process can answer from its database; for the proxy and the supervisor."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    held = roles_of(request.user)
    refusal = _page_of_other_roles(request, held) if held else _page_of_roles()
    return problems.respond(request, refusal)


def _page_of_roles() -> Refusal:
    return Refusal(
        Code.NOT_ALLOWED,
        "This part of the site is for its reviewers, managers, auditors and operators.",
        "If you are one of them, ask a manager of this site for the role.",
        url="/",
    )


def _page_of_other_roles(request: HttpRequest, held: list[str]) -> Refusal:
    readers, is_reader = readers_of(request)
    what = f"This page is for {readers or 'people with another role'}."
    if is_reader:
        what = "Nobody can do this here, whatever their role."
    return Refusal(
        Code.NOT_ALLOWED,
        f"{what} You are signed in as {request.user}, {' and '.join(held)}.",
        "Go back to your own start page. If your work needs this page, ask a manager of this site.",
        url=reverse("admin:index"),
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.respond(
        request,
        problems.as_refusal(exception)  # a body that is too large, say
        or Refusal(
            Code.INVALID,
            "This request does not make sense to the site.",
            "Check the address, and send it again.",
        ),
    )


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    return problems.respond(
        request,
        Refusal(
            Code.NOT_ALLOWED,
            "This form did not come from a page of this site, or the page was opened too long ago.",
            "Allow cookies for this site, open the page again, and send it from there.",
            url="/",
        ),
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problems.respond(
        request,
        Refusal(
            Code.NOT_FOUND,
            "Nothing is here, or nothing that you may see.",
            "Check the address, or start from the catalogue.",
            url="/releases/",
        ),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    return problems.respond(
        request,
        Refusal(
            Code.UNAVAILABLE,
            "Something broke on our side; it was logged.",
            "Try again in a minute; if it stays, send us the request id.",
        ),
    )
