"""The applicant's page of those who vouch, and the page behind a witness's mailed link."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from access_requests import selectors, services
from access_requests.keeping_forms import show
from access_requests.models import Application, Witness
from access_requests.selectors import Reading, Vouching
from access_requests.witness_forms import NameWitnessForm, OfficialForm, RefereeForm
from portal.accounts.models import Account
from portal.accounts.views import person
from portal.refusals import Code, Refusal

Kind = Witness.Kind


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def witnesses(request: HttpRequest, pk: int) -> HttpResponse:
    """Who vouches for one's application: how far that is, and whom to name."""
    found = selectors.application_for(person(request), pk)
    if found.applicant_id != person(request).pk:
        raise Http404("another person's application")
    bound: dict[str, NameWitnessForm] = {}
    if request.method == "POST":
        form = _named(request)
        if form.is_valid() and (done := _name(request, found, form)):
            return done
        bound[form.data["kind"]] = form
    parts = [(one, _form(one, bound)) for one in selectors.vouching_of(found)]
    context = {
        "application": found,
        "parts": parts,
        "question": selectors.described_question(found),
        "unnamed": selectors.kinds_unnamed(found),
    }
    status = 422 if bound else 200
    return render(request, "access_requests/witnesses.html", context, status=status)


def _named(request: HttpRequest) -> NameWitnessForm:
    try:
        return NameWitnessForm(Kind(request.POST.get("kind", "")), request.POST)
    except ValueError:
        raise Http404("no such kind of witness") from None


def _form(one: Vouching, bound: dict[str, NameWitnessForm]) -> NameWitnessForm | None:
    if not one.may_name:
        return None
    initial: dict[str, Any] = {}
    if one.witness and one.state == "named":
        named = one.witness
        initial = {"name": named.name, "email": named.email, "position": named.position}
    return bound.get(one.kind.value) or NameWitnessForm(one.kind, initial=initial)


def _name(request: HttpRequest, found: Application, form: NameWitnessForm) -> HttpResponse | None:
    """Name the person; None when the form now says what to mend."""
    try:
        made = services.name_witness(found.pk, actor=person(request), **form.cleaned_data)
    except Refusal as refusal:
        if refusal.code == Code.RATE_LIMITED:
            show(form, refusal)
        elif refusal.code != Code.INVALID:
            raise
        for field, reasons in refusal.fields.items():
            form.add_error(field if field in form.fields else None, reasons)
        return None
    asked = made.status == Witness.Status.ASKED
    told = "A mail is on its way to them." if asked else "They are asked by mail when you submit."
    messages.success(request, f"{made.name} is named. {told}")
    return redirect("access_requests:witnesses", found.pk)


@login_required
@require_POST
def ask_again(request: HttpRequest, pk: int) -> HttpResponse:
    """The mail once more, with a new link."""
    witness = services.ask_again(pk, actor=person(request))
    messages.success(request, f"Sent again to {witness.email}; the older link is void.")
    return redirect("access_requests:witnesses", witness.application_id)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def vouch(request: HttpRequest, token: str) -> HttpResponse:
    """Behind a mailed link, without an account: what is asked, and the answer; once."""
    if done := services.answered_behind(token):
        return _thanks(request, done)
    actor = request.user if isinstance(request.user, Account) else None
    reading = services.reading_behind(token, actor=actor)
    make = OfficialForm if reading.witness.kind == Kind.OFFICIAL else RefereeForm
    form = make(request.POST or None)
    declines = make is RefereeForm and "decline" in request.POST
    if request.method == "POST" and (declines or form.is_valid()):
        try:
            _answer(token, form, declines, request.POST.get("read", ""), actor)
        except Refusal as refusal:
            if refusal.code not in (Code.INVALID, Code.CONFLICT):
                raise
            reading = services.reading_behind(token, actor=actor)  # as it is now
            show(form, refusal)
        else:
            return redirect(request.path)
    return _asked(request, reading, form)


def _answer(
    token: str,
    form: OfficialForm | RefereeForm,
    declines: bool,
    read: str,
    actor: Account | None,
) -> Witness:
    if declines:
        return services.decline_reference(token, read=read, actor=actor)
    if isinstance(form, OfficialForm):
        return services.confirm(token, actor=actor, **form.given())
    return services.give_reference(token, actor=actor, **form.given())


def _asked(
    request: HttpRequest, reading: Reading, form: OfficialForm | RefereeForm
) -> HttpResponse:
    context = {
        "reading": reading,
        "witness": reading.witness,
        "application": reading.application,
        "applicant": reading.application.applicant,
        "releases": reading.releases,
        "affiliation": reading.application.affiliation,
        "version": reading.version,
        "form": form,
    }
    page = f"access_requests/vouch_{reading.witness.kind}.html"
    return render(request, page, context, status=422 if form.errors else 200)


def _thanks(request: HttpRequest, witness: Witness) -> HttpResponse:
    """Not a word of the answer: the link may lie in somebody else's hands by now."""
    context = {"witness": witness, "applicant": witness.application.applicant}
    return render(request, "access_requests/vouch_thanks.html", context)
