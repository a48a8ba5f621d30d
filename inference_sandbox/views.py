"""The sandbox's pages. They work without JavaScript, except that tokens then come all at once."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import reswap, retarget

from inference_sandbox import quotas, run_pages, selectors, services
from inference_sandbox.forms import RunForm, defaults
from inference_sandbox.models import Run
from inference_sandbox.sse import sse_frame, sse_response
from inference_sandbox.stream import Entry, Kind
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

EARLIER = 8  # runs beside the form


def person(request: HttpRequest) -> Account:
    """The signed-in person of a `login_required` view."""
    assert isinstance(request.user, Account)
    return request.user


@login_required
@require_GET
def playground(request: HttpRequest) -> HttpResponse:
    """?release=slug chooses the release; ?from=run fills the form with an earlier run."""
    account = person(request)
    earlier = _run_to_repeat(request)
    releases = list(selectors.playable_releases(account))
    release = _chosen(request, earlier, releases)
    if release is None:
        context = {"runs": selectors.runs_of(account)[:EARLIER]}
        return render(request, "inference_sandbox/no_release.html", context)
    chat = selectors.offers_chat(release)
    mode = Run.Mode.CHAT if chat else Run.Mode.PLAIN
    initial = {**defaults(), "mode": mode, **_values(earlier), "release": release.slug}
    form = RunForm(initial=initial, chat=chat)
    return _playground(request, form, release, releases)


def _playground(
    request: HttpRequest,
    form: RunForm,
    release: Release | None,
    releases: list[Release],
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form,
        "release": release,
        "releases": releases,
        "situation": selectors.situation(release) if release else None,
        "runs": selectors.runs_of(person(request))[:EARLIER],
        "quota": quotas.use_for(person(request), release) if release else None,
        "keep_days": settings.SANDBOX_KEEP_DAYS,
    }
    return render(request, "inference_sandbox/playground.html", context, status=status)


def _chosen(request: HttpRequest, earlier: Run | None, releases: list[Release]) -> Release | None:
    """The release asked for, else that of the earlier run, else the first open to the person."""
    if slug := request.GET.get("release"):
        return selectors.require_playable(person(request), slug)
    if earlier:
        return selectors.require_playable(person(request), earlier.release.slug)
    return releases[0] if releases else None


def _run_to_repeat(request: HttpRequest) -> Run | None:
    given = request.GET.get("from", "")
    try:
        return selectors.run_visible_to(person(request), UUID(given)) if given else None
    except ValueError:
        raise Refusal(
            Code.NOT_FOUND,
            f"“{given}” is no run.",
            "Choose one from the list of your runs.",
            url=reverse("inference_sandbox:runs"),
        )


def _values(run: Run | None) -> dict[str, Any]:
    names = ("mode", "prompt", "temperature", "top_p", "max_tokens", "seed")
    return {name: getattr(run, name) for name in names} if run else {}


@login_required
@require_http_methods(["GET", "POST"])
def runs(request: HttpRequest) -> HttpResponse:
    """GET lists the person's runs; POST starts one."""
    if request.method == "POST":
        return _start(request)
    return run_pages.history(request)


def _start(request: HttpRequest) -> HttpResponse:
    """With htmx: the run's panel, or the form with what to mend. Without: a page."""
    form = RunForm(request.POST)
    run = _started(request, form)
    if run is None:
        return _form_again(request, form)
    if getattr(request, "htmx", False):
        return render(request, "inference_sandbox/_run.html", _panel(run))
    return redirect(run)


def _started(request: HttpRequest, form: RunForm) -> Run | None:
    if not form.is_valid():
        return None
    values = {**form.cleaned_data}
    try:
        release = selectors.release_named(values.pop("release"))
        return services.create_run(actor=person(request), release=release, **values)
    except Refusal as refusal:
        form.refuse(refusal)
        return None


def _form_again(request: HttpRequest, form: RunForm) -> HttpResponse:
    if getattr(request, "htmx", False):
        # htmx puts only a 200 into the page.
        response = render(request, "inference_sandbox/_form.html", {"form": form})
        return reswap(retarget(response, "#run-form"), "outerHTML")
    releases = list(selectors.playable_releases(person(request)))
    release = next((r for r in releases if r.slug == form.data.get("release")), None)
    return _playground(request, form, release, releases, status=400)


def _panel(run: Run) -> dict[str, Any]:
    return {"run": run, "situation": None if run.is_over else selectors.situation(run.release)}


@login_required
@require_POST
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    row = services.cancel(run_id, actor=person(request))
    # The open stream brings the end of the run to the page.
    return HttpResponse(status=204) if getattr(request, "htmx", False) else redirect(row)


@require_GET
async def stream(request: HttpRequest, run_id: UUID) -> StreamingHttpResponse:
    """The run as HTML fragments for htmx: `restart`, `token`, `stats`, `end`, then `close`."""
    account = await request.auser()
    if not isinstance(account, Account):
        raise Refusal(
            Code.NOT_SIGNED_IN,
            "You are not signed in any more.",
            "Sign in again; the run goes on meanwhile.",
            url=reverse("account_login"),
        )
    row = await sync_to_async(selectors.run_visible_to)(account, run_id)

    async def to_frames(entry: Entry) -> bytes:
        if entry.kind is Kind.END:
            return await sync_to_async(_end_frames)(account, run_id, entry)
        return _frames(entry)

    return await sse_response(row, request, to_frames)


def _frames(entry: Entry) -> bytes:
    if entry.kind is Kind.PROMPT or (entry.kind is Kind.TOKEN and not entry.data["x"]):
        return b""  # half a character: its text comes with a later token
    if entry.kind is Kind.TOKEN:
        # In a span of its own: a lone leading space would be lost otherwise.
        return sse_frame("token", format_html("<span>{}</span>", entry.data["x"]), entry.id)
    stats = render_to_string("inference_sandbox/_stats.html", entry.data)
    if entry.kind is Kind.START:
        return sse_frame("restart", "<span></span>", entry.id) + sse_frame("stats", stats, entry.id)
    return sse_frame("stats", stats, entry.id)


def _end_frames(account: Account, run_id: UUID, entry: Entry) -> bytes:
    """The finished panel takes the live one's place; `close` tells the browser to stay away."""
    panel = render_to_string(
        "inference_sandbox/_run.html",
        {"run": selectors.run_visible_to(account, run_id), "viewer": account},
    )
    return sse_frame("end", panel, entry.id) + sse_frame("close", "closed", entry.id)
