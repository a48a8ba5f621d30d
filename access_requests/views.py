"""The applicant's pages. They hold no rule: each calls a service or a selector."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from access_requests import selectors, services, words
from access_requests.forms import AnswersForm, LicenceForm
from access_requests.keeping_forms import show
from access_requests.models import Application, State
from access_requests.workflow import EDITABLE_STATES, QUEUE_STATES, Action, Role, actions_for
from portal.accounts.views import person
from portal.catalog.models import Family, Release
from portal.refusals import Code, Refusal


@login_required
@require_GET
def mine(request: HttpRequest) -> HttpResponse:
    """My access: applications, grants, and the licence texts accepted."""
    account = person(request)
    context = {
        "applications": [
            (one, words.TAGS[State(one.state)]) for one in selectors.applications_of(account)
        ],
        "standings": [selectors.standing_of(grant) for grant in selectors.grants_of(account)],
        "places": selectors.places_of(account),
        "acceptances": selectors.acceptances_of(account),
    }
    return render(request, "access_requests/mine.html", context)


@login_required
@require_GET
def attachment(request: HttpRequest, public_id: UUID) -> FileResponse:
    """A file of an application, to those who may see it; always saved, never shown in the page."""
    found = selectors.attachment_for(person(request), public_id)
    response = FileResponse(
        found.file.open("rb"),
        as_attachment=True,
        filename=found.name,
        content_type=found.media_type,
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
    return response


def own_application(request: HttpRequest, pk: int) -> Application:
    """One's own application; another's is not found, whoever asks."""
    found = selectors.application_for(person(request), pk)
    if found.applicant_id != person(request).pk:
        raise Http404("another person's application")
    return found


@login_required
def licence(request: HttpRequest, pk: int) -> HttpResponse:
    """Read the licence, type one's name, submit."""
    found = own_application(request, pk)
    if found.state not in EDITABLE_STATES:
        messages.info(request, f"{found.reference} is already submitted; this is where it stands.")
        return redirect(found)
    if selectors.newer_form(found):
        messages.info(request, "The questions have changed; see what is new before you submit.")
        return redirect("access_requests:edit", found.pk)
    form = LicenceForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and (done := _submit(request, found, form)):
        return done
    missing = AnswersForm(found.form, found.answers, strict=True)
    context = {
        **_licence_context(found.family, form),
        "application": found,
        "missing": [missing.fields[name].label for name in missing.errors],
        "unnamed": selectors.kinds_unnamed(found),
        "withdrawn": [r for r in found.releases.all() if r.status == Release.Status.WITHDRAWN],
    }
    status = 422 if form.errors else 200
    return render(request, "access_requests/licence.html", context, status=status)


def _submit(request: HttpRequest, found: Application, form: LicenceForm) -> HttpResponse | None:
    """Submit; None when the form now says what to mend."""
    try:
        services.submit(found.pk, actor=person(request), **form.cleaned_data)
    except Refusal as refusal:
        if refusal.code == Code.WRONG_STATE:  # a second click: the receipt is what it asked for
            messages.info(request, refusal.detail)
            return redirect(found)
        show(form, refusal)
        return None
    messages.success(request, "Submitted. A receipt is on its way to you by mail.")
    return redirect(found)


def _licence_context(family: Family, form: LicenceForm) -> dict[str, Any]:
    return {"family": family, "version": family.licence.current, "form": form}


@login_required
@require_GET
def application(request: HttpRequest, pk: int) -> HttpResponse:
    """Where an application stands, and what happens next."""
    return _application_page(request, pk)


def _application_page(
    request: HttpRequest, pk: int, *, typed: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    account = person(request)
    found = selectors.application_for(account, pk)
    state = State(found.state)
    role = selectors.role_in(account, found)
    on_the_table = selectors.answers_on_the_table(found).answers
    may = actions_for(state, role)
    again_from = selectors.apply_again_from(found.applicant, found.family)
    vouching = selectors.vouching_of(found)
    context = {
        "application": found,
        "tag": words.TAGS[state],
        "next": words.next_of(found),
        "vouching": vouching,
        "waits_for": selectors.waits_for(found, vouching) if role == Role.APPLICANT else "",
        "to_name": [one.label for one in vouching if one.needs_naming],
        "is_own": role == Role.APPLICANT,
        "by_rule": state == State.APPROVED and selectors.rule_behind(found) is not None,
        "may_withdraw": Action.WITHDRAW in may,
        "may_edit": Action.SAVE in may,
        "may_write": Action.WRITE in may and role == Role.APPLICANT,
        "may_appeal": Action.APPEAL in may and found.appealed_at is None,
        "may_apply_again": role == Role.APPLICANT
        and state in (State.REFUSED, State.WITHDRAWN)
        and again_from is None,
        "again_from": again_from if state == State.REFUSED else None,
        "typed": typed or {},
        "timeline": words.timeline(found),
        "position": selectors.queue_position(found),
        "times": selectors.time_to_decision() if state in QUEUE_STATES else None,
        "queue_length": selectors.queue_length() if state in QUEUE_STATES else 0,
        "answers": words.answered(found, found.answers if role == Role.APPLICANT else on_the_table),
        "thread": found.messages.select_related("author"),
        "grants": [selectors.standing_of(grant) for grant in selectors.grants_from(found)],
    }
    return render(request, "access_requests/application.html", context, status=status)


@login_required
@require_POST
def write(request: HttpRequest, pk: int) -> HttpResponse:
    """A message to the reviewers."""
    body = request.POST.get("body", "")
    try:
        services.write(own_application(request, pk).pk, actor=person(request), body=body)
    except Refusal as refusal:
        return _not_done(request, pk, refusal, body=body)
    messages.success(request, "Sent to the reviewers.")
    return redirect(f"{reverse('access_requests:application', args=[pk])}#messages")


@login_required
@require_POST
def appeal(request: HttpRequest, pk: int) -> HttpResponse:
    """The one appeal against a refusal."""
    text = request.POST.get("appeal", "")
    try:
        found = services.appeal(own_application(request, pk).pk, actor=person(request), text=text)
    except Refusal as refusal:
        return _not_done(request, pk, refusal, appeal=text)
    messages.success(request, "Your appeal arrived; somebody else decides on it.")
    return redirect(found)


def _not_done(request: HttpRequest, pk: int, refusal: Refusal, **typed: str) -> HttpResponse:
    """The page again, with what was typed."""
    messages.error(request, f"{refusal.detail} {refusal.way_out}")
    return _application_page(request, pk, typed=typed, status=refusal.status)


@login_required
@require_POST
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    found = services.withdraw(own_application(request, pk).pk, actor=person(request))
    told = (
        f"The appeal for {found.reference} is withdrawn. The refusal stands."
        if found.state == State.REFUSED
        else f"{found.reference} is withdrawn. You can start a new one at any time."
    )
    messages.success(request, told)
    return redirect(found)
