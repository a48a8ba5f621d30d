"""The pages about the people of an application: the applicant's list, and the invited person's."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from access_requests import selectors, services
from access_requests.forms import LicenceForm
from access_requests.keeping_forms import show
from access_requests.models import OPEN_STATES, Application, State
from portal.accounts.models import Affiliation
from portal.accounts.views import person
from portal.refusals import Code, Refusal


class InviteForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address",
        help_text="The address of their account, or of the one that they will make.",
        error_messages={"required": "Give the address to invite."},
    )


@login_required
def people(request: HttpRequest, pk: int) -> HttpResponse:
    """The co-applicants of one's own application, and the form that invites another."""
    found = _own(request, pk)
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            member = services.invite(found.pk, actor=person(request), **form.cleaned_data)
        except Refusal as refusal:
            if refusal.code not in (Code.INVALID, Code.RATE_LIMITED):
                raise
            show(form, refusal)
        else:
            messages.success(request, f"An invitation is on its way to {member.email}.")
            return redirect("access_requests:people", found.pk)
    context = {
        "application": found,
        "form": form,
        "members": selectors.coapplicants_of(found),
        "may_invite": found.state in OPEN_STATES | {State.APPROVED},
    }
    status = 422 if form.errors else 200
    return render(request, "access_requests/people.html", context, status=status)


def _own(request: HttpRequest, pk: int) -> Application:
    found = selectors.application_for(person(request), pk)
    if found.applicant_id != person(request).pk:
        raise Http404("another person's application")
    return found


@login_required
@require_POST
def invite_again(request: HttpRequest, pk: int) -> HttpResponse:
    member = services.invite_again(pk, actor=person(request))
    messages.success(request, f"Sent again to {member.email}; the older link is void.")
    return redirect("access_requests:people", member.application_id)


@login_required
@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """The applicant takes somebody out, or a co-applicant leaves."""
    member = services.remove(pk, actor=person(request))
    if member.account_id == person(request).pk:
        messages.success(request, f"You left {member.application.reference}.")
        return redirect("access_requests:mine")
    messages.success(request, "Taken out; the grants by this application are revoked.")
    return redirect("access_requests:people", member.application_id)


@login_required
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Behind a mailed link: who invites me to what, the licence, and my name under it."""
    account = person(request)
    member = services.invited(token, actor=account)
    form = LicenceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.join(token, actor=account, **form.cleaned_data)
        except Refusal as refusal:
            if refusal.code not in (Code.INVALID, Code.LICENCE_CHANGED):
                raise
            show(form, refusal)
        else:
            messages.success(request, f"You are a co-applicant of {member.application.reference}.")
            return redirect("access_requests:mine")
    application = member.application
    context = {
        "application": application,
        "releases": application.releases.all(),
        "family": application.family,
        "version": application.family.licence.current,
        "form": form,
        "affiliation": Affiliation.objects.filter(account=account).first(),
        "profile": f"{reverse('accounts:profile')}?next={request.path}",
    }
    status = 422 if form.errors else 200
    return render(request, "access_requests/join.html", context, status=status)
