"""Pages about oneself: profile, affiliation, tokens."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from portal.accounts import erasing, own_data, services
from portal.accounts.forms import AffiliationForm, EraseForm, NameForm, TokenForm
from portal.accounts.models import Account, Affiliation


def person(request: HttpRequest) -> Account:
    """The signed-in person of a `login_required` view."""
    assert isinstance(request.user, Account)
    return request.user


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Name and affiliation on one page; ?next= leads back to what needed it."""
    account = person(request)
    affiliation = Affiliation.objects.filter(account=account).first()
    name_form = NameForm(request.POST or None, instance=Account.objects.get(pk=account.pk))
    form = AffiliationForm(request.POST or None, instance=affiliation)
    if request.method == "POST" and form.is_valid() and name_form.is_valid():
        services.rename(account, name_form.cleaned_data["name"], actor=account)
        services.save_affiliation(form.save(commit=False), actor=account)
        messages.success(request, "Saved.")
        return HttpResponseRedirect(_next(request) or reverse("accounts:profile"))
    context = {
        "form": form,
        "name_form": name_form,
        "next": _next(request),
        "is_new": affiliation is None,
    }
    return render(request, "accounts/profile.html", context)


def _next(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return target if safe and target.startswith("/") else ""


@login_required
@require_GET
def data(request: HttpRequest) -> HttpResponse:
    """All that this site holds about the person, as a file."""
    told = own_data.own_data(person(request))
    response = JsonResponse(told, json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = 'attachment; filename="my-data.json"'
    response["Cache-Control"] = "no-store"
    return response


@login_required
def erase(request: HttpRequest) -> HttpResponse:
    """What erasure removes and keeps, and the button that asks for it."""
    account = person(request)
    form = EraseForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = erasing.ask(account.pk, actor=account)
        messages.success(
            request, f"Asked for. Your data is erased after {made.due_at:%-d %B %Y, %H:%M} UTC."
        )
        return redirect("accounts:erase")
    context = {
        "form": form,
        "waits": erasing.waiting(account),
        "hindrance": erasing.hindrance(account),
        "days": erasing.DAYS,
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/erase.html", context, status=status)


@login_required
@require_POST
def take_back(request: HttpRequest) -> HttpResponse:
    account = person(request)
    erasing.take_back(account.pk, actor=account)
    messages.success(request, "Taken back: nothing is erased.")
    return redirect("accounts:erase")


@login_required
def tokens(request: HttpRequest) -> HttpResponse:
    account = person(request)
    form = TokenForm(request.POST or None)
    text = ""
    if request.method == "POST" and form.is_valid():
        _, text = services.create_token(
            account,
            actor=account,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
        )
        form = TokenForm()
    response = render(
        request,
        "accounts/tokens.html",
        {"form": form, "text": text, "tokens": account.tokens.all()},
    )
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    services.revoke_token(pk, actor=person(request))
    messages.success(request, "The token is revoked: the next request with it is refused.")
    return redirect("accounts:tokens")
