"""The page of questions: a draft is started, saved and corrected here.

The page carries what it was made from: the draft's version, the form's version and the account. A
script saves while the person types and reads JSON; without it the buttons do the same.
"""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache

from access_requests import selectors, services
from access_requests.carrying import Carried, carry
from access_requests.drafts import version_of
from access_requests.forms import AnswersForm, ReleasesForm
from access_requests.models import Application, Form, State
from access_requests.views import own_application
from access_requests.workflow import EDITABLE_STATES
from portal import throttling
from portal.accounts.models import Affiliation
from portal.accounts.views import person
from portal.catalog.models import Family
from portal.catalog.selectors import open_releases
from portal.refusals import Code, Refusal


@never_cache
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
    _same_account(request)
    form, chosen = _bound(request, family, selectors.current_form(family))
    fits = form.is_valid() and chosen.is_valid()
    if not fits and not (request.FILES and chosen.is_valid()):
        for key in _files(request, form):
            form.add_error(key, "Choose a release first, and then this file again.")
        return _questions(request, family, form, chosen, status=422)
    # A browser forgets a chosen file when a page comes back with errors; the draft keeps it.
    try:
        saved = services.start(
            actor=person(request),
            releases=chosen.cleaned_data["releases"],
            answers=form.cleaned_data,
            form=form.form,
            base=request.POST.get("base"),
        )
    except Refusal as refusal:
        running = selectors.open_application(person(request), family)
        if running is None:
            raise
        return _changed_elsewhere(request, running, form, chosen, refusal)
    if saved.state in EDITABLE_STATES:
        fits = _move_files(request, form, saved) and fits
    if fits:
        return _after_saving(request, saved)
    base = version_of(saved)
    return _questions(request, family, form, chosen, application=saved, base=base, status=422)


@never_cache
@login_required
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The answers of a draft, or of an application returned for correction."""
    if request.method == "POST":
        _same_account(request)
    found = own_application(request, pk)
    if found.state not in EDITABLE_STATES:
        return _submitted_meanwhile(request, found)
    if request.method == "POST":
        return _save(request, found)
    form, moved = found.form, Carried(found.answers, [], [], [])
    carried = found.carried
    if newer := selectors.newer_form(found):  # the draft itself moves with the next save
        form, moved = newer, carry(found.form, found.answers, newer)
        carried = moved.told(found.carried, source=f"version {found.form.version}")
    answers = AnswersForm(form, strict=False, prefix="answers", initial=moved.answers)
    chosen = ReleasesForm(found.family, initial={"releases": found.releases.all()})
    return _questions(
        request,
        found.family,
        answers,
        chosen,
        application=found,
        carried=carried,
        base=version_of(found),
    )


def _save(request: HttpRequest, found: Application) -> HttpResponse:
    form, chosen = _bound(request, found.family, _on_the_page(request, found))
    fits = form.is_valid() and chosen.is_valid()
    base = request.POST.get("base")
    if fits:
        try:
            found = services.save_draft(
                found.pk,
                actor=person(request),
                releases=chosen.cleaned_data["releases"],
                answers=form.cleaned_data,
                form=form.form,
                base=base,
            )
        except Refusal as refusal:
            return _changed_elsewhere(request, found, form, chosen, refusal)
    is_newest = fits or base == version_of(found)
    if _move_files(request, form, found) and fits:
        return _after_saving(request, found)
    # A page that comes back with errors keeps its base, so that a change elsewhere is still found.
    return _questions(
        request,
        found.family,
        form,
        chosen,
        application=found,
        carried=found.carried,
        base=version_of(found) if is_newest else base,
        status=422,
    )


def _on_the_page(request: HttpRequest, found: Application) -> Form:
    """The questions that were answered: of the draft's form, or of the newer one that was shown."""
    newer = selectors.newer_form(found)
    return newer if newer and request.POST.get("form") == str(newer.version) else found.form


def _same_account(request: HttpRequest) -> None:
    """Raises Refusal NOT_ALLOWED where another account signed in since the page was opened."""
    if request.POST.get("account", str(person(request).pk)) != str(person(request).pk):
        raise Refusal(
            Code.NOT_ALLOWED,
            f"This page was opened by another account; you are signed in as "
            f"{person(request).email} now.",
            "Sign in as before and open the page again: the browser that it was typed in offers "
            "the text.",
        )


def _submitted_meanwhile(request: HttpRequest, found: Application) -> HttpResponse:
    if _by_script(request):
        raise Refusal(
            Code.WRONG_STATE,
            f"{found.reference} is “{found.get_state_display()}” and can no longer be changed.",
            "See its page for where it stands.",
            url=found.get_absolute_url(),
        )
    if request.method == "POST":
        messages.warning(
            request,
            f"{found.reference} is already submitted; what you typed now was not added to it.",
        )
    else:
        messages.info(
            request, f"{found.reference} can no longer be changed; this is where it stands."
        )
    return redirect(found)


def _changed_elsewhere(
    request: HttpRequest,
    found: Application,
    form: AnswersForm,
    chosen: ReleasesForm,
    refusal: Refusal,
) -> HttpResponse:
    """Both texts on one page, with the draft's version of now: the next save is a choice.

    Raises the refusal again where it is another one, or where a script asked.
    """
    found.refresh_from_db()
    if found.state not in EDITABLE_STATES:  # submitted by a click that was quicker
        return _submitted_meanwhile(request, found)
    if refusal.code != Code.CONFLICT or _by_script(request):
        raise refusal
    form.show_saved(found.answers)
    return _questions(
        request,
        found.family,
        form,
        chosen,
        application=found,
        carried=found.carried,
        base=version_of(found),
        conflict=refusal,
        status=refusal.status,
    )


def _by_script(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


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


def _bound(request: HttpRequest, family: Family, form: Form) -> tuple[AnswersForm, ReleasesForm]:
    answers = AnswersForm(form, request.POST, strict=False, prefix="answers")
    return answers, ReleasesForm(family, request.POST)


def _after_saving(request: HttpRequest, application: Application) -> HttpResponse:
    if application.state not in EDITABLE_STATES:  # it was submitted in another tab meanwhile
        return _submitted_meanwhile(request, application)
    edit_page = reverse("access_requests:edit", args=[application.pk])
    if _by_script(request):
        now = {"form": str(application.form.version), "base": version_of(application)}
        return JsonResponse({"action": edit_page, "draft": str(application.pk), **now})
    if "go_on" in request.POST:
        return redirect("access_requests:licence", application.pk)
    messages.success(request, "The draft is saved. You can close this page and come back.")
    return redirect(edit_page)


def _questions(
    request: HttpRequest,
    family: Family,
    form: AnswersForm,
    chosen: ReleasesForm,
    *,
    application: Application | None = None,
    carried: dict[str, Any] | None = None,
    base: str | None = "",
    conflict: Refusal | None = None,
    status: int = 200,
) -> HttpResponse:
    if _by_script(request) and (form.errors or chosen.errors):
        raise _not_fitting(form, chosen)
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
        "conflict": conflict,
        "base": base or "",
    }
    if application:
        context["action"] = reverse("access_requests:edit", args=[application.pk])
    elif not carried:
        context["wished"] = request.GET.getlist("release")
        context["startable"] = selectors.startable_from(person(request), family)
    if application and conflict:
        saved = set(application.releases.all())
        if set(chosen.cleaned_data["releases"]) != saved:
            context["saved_releases"] = saved
    if application and application.state == State.RETURNED:
        context["message"] = selectors.last_return(application)
    return render(request, "access_requests/questions.html", context, status=status)


def _not_fitting(form: AnswersForm, chosen: ReleasesForm) -> Refusal:
    """The fields that do not fit, for the script: the first in words, all of them by name."""
    fields = {
        one[name].html_name: [str(line) for line in lines]
        for one in (chosen, form)
        for name, lines in one.errors.items()
    }
    one = chosen if chosen.errors else form
    name = next(iter(one.errors))
    return Refusal(
        Code.INVALID,
        f"{one[name].label}: {one.errors[name][0]}",
        "Correct it; all that you typed is still here.",
        fields=fields,
    )
