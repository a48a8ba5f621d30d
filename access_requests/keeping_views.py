"""The holder's pages about a grant: renew it, close it, accept its new licence, and the agreement behind it."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from access_requests import selectors, services
from access_requests.forms import LicenceForm
from access_requests.keeping_forms import CloseOutForm, RenewalForm, show
from access_requests.services.keeping import STATEMENT
from portal.accounts.views import person
from portal.refusals import Code, Refusal


@login_required
def renew(request: HttpRequest, pk: int) -> HttpResponse:
    """Report the use of a grant, and ask that it goes on."""
    grant = selectors.own_grant(person(request), pk)
    form = RenewalForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.ask_renewal(grant.pk, actor=person(request), **form.cleaned_data)
        except Refusal as refusal:
            if refusal.code != Code.INVALID:
                raise
            show(form, refusal)
        else:
            messages.success(request, "Your report is with the reviewers. A receipt is on its way.")
            return redirect("access_requests:mine")
    context = {"grant": grant, "form": form, "standing": selectors.standing_of(grant)}
    context["waits"] = grant.renewals.filter(status="open").first()
    return render(
        request, "access_requests/renew.html", context, status=422 if form.errors else 200
    )


@login_required
def close_out(request: HttpRequest, pk: int) -> HttpResponse:
    """End a grant, stating that every copy is destroyed."""
    grant = selectors.own_grant(person(request), pk)
    form = CloseOutForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.close_out(grant.pk, actor=person(request), **form.cleaned_data)
        except Refusal as refusal:
            if refusal.code != Code.INVALID:
                raise
            show(form, refusal)
        else:
            messages.success(request, f"Your grant for {grant.release.name} is closed. Thank you.")
            return redirect("access_requests:mine")
    context = {
        "grant": grant,
        "form": form,
        "statement": STATEMENT.format(release=grant.release.name),
        "made": selectors.closed_out(grant),
    }
    return render(
        request, "access_requests/close_out.html", context, status=422 if form.errors else 200
    )


@login_required
@require_GET
def agreement(request: HttpRequest, pk: int) -> HttpResponse:
    """The exact text that the person accepted, made to be printed."""
    found = selectors.agreement_of(person(request), pk)
    return render(request, "access_requests/agreement.html", {"agreement": found})


@login_required
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept a new licence version, so that a grant opens again."""
    grant = selectors.own_grant(person(request), pk)
    form = LicenceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.accept_licence(grant.pk, actor=person(request), **form.cleaned_data)
        except Refusal as refusal:
            if refusal.code not in (Code.INVALID, Code.LICENCE_CHANGED):
                raise
            show(form, refusal)
        else:
            messages.success(request, "Accepted. Your grant is open under the new version.")
            return redirect(grant.release)
    family = grant.release.family
    version = family.licence.current
    context = {"family": family, "version": version, "form": form, "grant": grant}
    context["is_current"] = (
        version is not None and grant.acceptance.licence_version_id == version.pk
    )
    context["accept_by"] = selectors.accept_by(grant)
    return render(
        request, "access_requests/accept.html", context, status=422 if form.errors else 200
    )
