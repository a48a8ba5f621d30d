"""What the model thought of a run's tokens, and going on from there."""

from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from inference_sandbox import branching, reading, selectors
from inference_sandbox.asking import invalid
from portal.accounts.views import person

PAGE = 50  # tokens


class TakeForm(forms.Form):
    """An alternative that was chosen: `12:345` is token 345 in the place of the answer's thirteenth."""

    take = forms.RegexField(r"^\d{1,9}:\d{1,9}$")


@login_required
@require_GET
def tokens(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """All tokens as a table; ?of=prompt for the prompt's."""
    run = selectors.run_visible_to(person(request), run_id)
    prompt, answer = reading.of_run(run)
    of_prompt = request.GET.get("of") == "prompt"
    shown = prompt if of_prompt else answer
    page = Paginator(shown.tokens if shown else [], PAGE).get_page(request.GET.get("page"))
    mine = run.account_id == person(request).pk
    context = {"run": run, "mine": mine, "page": page, "of_prompt": of_prompt, "reading": shown}
    return render(request, "inference_sandbox/tokens.html", context)


@login_required
@require_POST
def branch(request: HttpRequest, run_id: UUID) -> HttpResponse:
    run = selectors.run_of(person(request), run_id)
    form = TakeForm(request.POST)
    if not form.is_valid():
        raise invalid("take", "Choose one of the alternatives of a token.")
    position, _, token = form.cleaned_data["take"].partition(":")
    return redirect(branching.branch(run.pk, int(position), int(token), actor=person(request)))


@login_required
@require_POST
def regenerate(request: HttpRequest, run_id: UUID) -> HttpResponse:
    return redirect(branching.regenerate(run_id, actor=person(request)))


@login_required
@require_POST
def reply(request: HttpRequest, run_id: UUID) -> HttpResponse:
    text = request.POST.get("text", "")
    return redirect(branching.reply(run_id, text, actor=person(request)))
