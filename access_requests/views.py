"""The applicant's pages. They hold no rule: each calls a service or a selector."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from access_requests import selectors, services, words
from access_requests.carrying import carry
from access_requests.forms import AnswersForm, LicenceForm, ReleasesForm
from access_requests.keeping_forms import show
from access_requests.models import Application, Form, State
from access_requests.workflow import EDITABLE_STATES, QUEUE_STATES, Action, Role, actions_for
from portal import throttling
from portal.accounts.models import Affiliation
from portal.accounts.views import person
from portal.catalog.models import Family, Release
from portal.catalog.selectors import open_releases
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
def apply(request: HttpRequest, family_slug: str) -> HttpResponse:
    """The family's questions; the first save makes the draft."""
    account = person(request)
    family = get_object_or_404(Family.objects.select_related("licence"), slug=family_slug)
    if request.method == "POST":
        return _start(request, family)
    if running := selectors.open_application(account, family):
        if running.state in EDITABLE_STATES:
            return redirect("access_requests:edit", running.pk)
        messages.info(request, f"You have an open application for {family.name}; this is it.")
        return redirect(running)
    selectors.check_may_apply(account, family)
    if not Affiliation.objects.filter(account=account).exists():
        messages.info(request, "First say who you are; then the questions follow.")
        return redirect(
            f"{reverse('accounts:profile')}?{urlencode({'next': request.get_full_path()})}"
        )
    wished = set(request.GET.getlist("release"))
    initial = [release for release in open_releases(family) if release.slug in wished]
    form, carried = _first_form(request, family)
    chosen = ReleasesForm(family, initial={"releases": initial})
    return _questions(request, family, form, chosen, carried=carried)


def _first_form(request: HttpRequest, family: Family) -> tuple[AnswersForm, dict[str, Any]]:
    """The questions, empty, or with the answers of an earlier application: of the one named by
    `?from=`, or of the last one where that was refused.
    """
    account, newest = person(request), selectors.current_form(family)
    wanted = request.GET.get("from", "")
    source = selectors.refused_last(account, family)
    if wanted.isdecimal() and len(wanted) < 19:
        source = selectors.applications_of(account).filter(pk=int(wanted)).first()
    if source is None:
        return AnswersForm(newest, strict=False, prefix="answers"), {}
    moved = carry(source.form, source.answers, newest, files=False)
    form = AnswersForm(newest, strict=False, prefix="answers", initial=moved.answers)
    return form, moved.told({}, source=source.reference)


def _start(request: HttpRequest, family: Family) -> HttpResponse:
    form, chosen = _bound(request, family, selectors.current_form(family))
    fits = form.is_valid() and chosen.is_valid()
    if not fits and not (request.FILES and chosen.is_valid()):
        for key in _files(request, form):
            form.add_error(key, "Choose a release first, and then this file again.")
        return _questions(request, family, form, chosen, status=422)
    # A browser forgets a chosen file when a page comes back with errors; the draft keeps it.
    saved = services.start(
        actor=person(request),
        releases=chosen.cleaned_data["releases"],
        answers=form.cleaned_data,
    )
    if saved.state in EDITABLE_STATES:
        fits = _move_files(request, form, saved) and fits
    if fits:
        return _after_saving(request, saved)
    return _questions(request, family, form, chosen, application=saved, status=422)


@login_required
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The answers of a draft, or of an application returned for correction."""
    found = _own(request, pk)
    if found.state not in EDITABLE_STATES:
        messages.info(
            request, f"{found.reference} can no longer be changed; this is where it stands."
        )
        return redirect(found)
    if request.method == "POST":
        return _save(request, found)
    found = services.bring_up_to_date(found.pk, actor=person(request))
    form = AnswersForm(found.form, strict=False, prefix="answers", initial=found.answers)
    chosen = ReleasesForm(found.family, initial={"releases": found.releases.all()})
    return _questions(request, found.family, form, chosen, application=found, carried=found.carried)


def _save(request: HttpRequest, found: Application) -> HttpResponse:
    form, chosen = _bound(request, found.family, found.form)
    moved = _move_files(request, form, found)
    if form.is_valid() and chosen.is_valid() and moved:
        saved = services.save_draft(
            found.pk,
            actor=person(request),
            releases=chosen.cleaned_data["releases"],
            answers=form.cleaned_data,
        )
        return _after_saving(request, saved)
    return _questions(
        request, found.family, form, chosen, application=found, carried=found.carried, status=422
    )


def _files(request: HttpRequest, form: AnswersForm) -> list[str]:
    """The keys of the attachment questions that a file came with."""
    return [
        one["key"]
        for one in form.questions
        if one["type"] == "attachment" and form.add_prefix(one["key"]) in request.FILES
    ]


def _move_files(request: HttpRequest, form: AnswersForm, application: Application) -> bool:
    """Take the files that came, and away the one that was asked to go; False when one was refused,
    and the form then says why.
    """
    actor, all_taken = person(request), True
    if remove := request.POST.get("remove"):
        services.detach(application.pk, remove, actor=actor)
    for key in _files(request, form):
        file = request.FILES[form.add_prefix(key)]
        try:
            throttling.check_account(throttling.Scope.UPLOADS, actor)
            services.attach(application.pk, key, file, actor=actor)  # type: ignore[arg-type]
        except Refusal as refusal:
            if refusal.code not in (Code.INVALID, Code.RATE_LIMITED):
                raise
            form.add_error(key, f"{refusal.detail} {refusal.way_out}")
            all_taken = False
    application.refresh_from_db(fields=["answers"])
    return all_taken


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


def _own(request: HttpRequest, pk: int) -> Application:
    """One's own application; another's is not found, whoever asks."""
    found = selectors.application_for(person(request), pk)
    if found.applicant_id != person(request).pk:
        raise Http404("another person's application")
    return found


def _bound(request: HttpRequest, family: Family, form: Form) -> tuple[AnswersForm, ReleasesForm]:
    answers = AnswersForm(form, request.POST, strict=False, prefix="answers")
    return answers, ReleasesForm(family, request.POST)


def _after_saving(request: HttpRequest, application: Application) -> HttpResponse:
    if getattr(request, "htmx", False):
        return _saved(request)
    if application.state not in EDITABLE_STATES:  # it was submitted in another tab meanwhile
        messages.warning(
            request,
            "This application is already submitted; what you typed now was not added to it.",
        )
        return redirect(application)
    if "go_on" in request.POST:
        return redirect("access_requests:licence", application.pk)
    messages.success(request, "The draft is saved. You can close this page and come back.")
    return redirect("access_requests:edit", application.pk)


def _saved(request: HttpRequest, errors: int = 0) -> HttpResponse:
    context = {"at": timezone.now(), "errors": errors}
    return render(request, "access_requests/_saved.html", context)


def _questions(
    request: HttpRequest,
    family: Family,
    form: AnswersForm,
    chosen: ReleasesForm,
    *,
    application: Application | None = None,
    carried: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    if getattr(request, "htmx", False):  # htmx shows only what answers 200
        return _saved(request, errors=len(form.errors) + len(chosen.errors))
    carried = carried or {}
    form.new_keys = frozenset(carried.get("new", []))
    form.changed_keys = frozenset(carried.get("changed", []))
    context: dict[str, Any] = {
        "family": family,
        "form": form,
        "chosen": chosen,
        "application": application,
        "carried": carried,
        "files": application.answers if application else {},
        "action": request.path,
    }
    if application:
        context["action"] = reverse("access_requests:edit", args=[application.pk])
    elif not carried:
        context["wished"] = request.GET.getlist("release")
        context["startable"] = selectors.startable_from(person(request), family)
    if application and application.state == State.RETURNED:
        context["message"] = selectors.last_return(application)
    return render(request, "access_requests/questions.html", context, status=status)


@login_required
def licence(request: HttpRequest, pk: int) -> HttpResponse:
    """Read the licence, type one's name, submit."""
    found = _own(request, pk)
    if found.state not in EDITABLE_STATES:
        messages.info(request, f"{found.reference} is already submitted; this is where it stands.")
        return redirect(found)
    current = services.bring_up_to_date(found.pk, actor=person(request))
    if current.form_id != found.form_id:
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
        if refusal.code == Code.WRONG_STATE:  # a second click
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
        services.write(_own(request, pk).pk, actor=person(request), body=body)
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
        found = services.appeal(_own(request, pk).pk, actor=person(request), text=text)
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
    found = services.withdraw(_own(request, pk).pk, actor=person(request))
    told = (
        f"The appeal for {found.reference} is withdrawn. The refusal stands."
        if found.state == State.REFUSED
        else f"{found.reference} is withdrawn. You can start a new one at any time."
    )
    messages.success(request, told)
    return redirect(found)
