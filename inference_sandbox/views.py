"""The playground and one run. They work without JavaScript, except that tokens come all at once."""

from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import reswap, retarget

from inference_sandbox import panels, quotas, run_pages, selectors, services
from inference_sandbox.forms import PRESETS, RunForm, defaults, of_run
from inference_sandbox.models import Run
from inference_sandbox.sse import Reader, last_event_id, sse_frame, sse_response
from inference_sandbox.stream import BEGINNING, Entry, Kind, at
from portal.accounts.models import Account
from portal.accounts.views import person
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

EARLIER, JOBS = 8, 4  # beside the form


@login_required
@require_GET
def playground(request: HttpRequest) -> HttpResponse:
    """?release=slug chooses the release; ?from=run fills the form with an earlier run."""
    account = person(request)
    earlier = _run_to_repeat(request)
    releases = list(selectors.playable_releases(account))
    release = _chosen(request, earlier, releases)
    if release is None:
        context = {"unrunnable": selectors.unrunnable_revisions(account), **_beside(account)}
        return render(request, "inference_sandbox/no_release.html", context)
    chat = selectors.offers_chat(release)
    mode = Run.Mode.CHAT if chat else Run.Mode.PLAIN
    values = of_run(earlier) if earlier else {}
    initial = {**defaults(), "mode": mode, **values, "release": release.slug}
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
        "presets": PRESETS,
        "release": release,
        "releases": releases,
        "situation": selectors.situation(release) if release else None,
        "quota": quotas.use_for(person(request), release) if release else None,
        "keep_days": settings.SANDBOX_KEEP_DAYS,
        **_beside(person(request)),
    }
    return render(request, "inference_sandbox/playground.html", context, status=status)


def _beside(account: Account) -> dict[str, object]:
    """What the person did before. A job's runs are found on its own page."""
    runs = selectors.runs_of(account).filter(job=None)
    return {"runs": runs[:EARLIER], "jobs": selectors.jobs_on_pages(account)[:JOBS]}


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
        return render(request, "inference_sandbox/_run.html", panels.whole(run))
    return redirect(run)


def _started(request: HttpRequest, form: RunForm) -> Run | None:
    if not form.is_valid():
        return None
    try:
        release = selectors.release_named(form.cleaned_data["release"])
        return services.create_run(actor=person(request), release=release, **form.asked())
    except Refusal as refusal:
        form.refuse(refusal)
        return None


def _form_again(request: HttpRequest, form: RunForm) -> HttpResponse:
    if getattr(request, "htmx", False):
        # htmx puts only a 200 into the page.
        context = {"form": form, "presets": PRESETS}
        response = render(request, "inference_sandbox/_form.html", context)
        return reswap(retarget(response, "#run-form"), "outerHTML")
    releases = list(selectors.playable_releases(person(request)))
    release = next((r for r in releases if r.slug == form.data.get("release")), None)
    return _playground(request, form, release, releases, status=400)


@login_required
@require_GET
def place(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Where the run stands in the queue, asked again and again while it waits."""
    row = selectors.run_visible_to(person(request), run_id)
    return render(request, "inference_sandbox/_place.html", panels.place(row))


@login_required
@require_POST
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    row = services.cancel(run_id, actor=person(request))
    # The open stream brings the end of the run to the page.
    return HttpResponse(status=204) if getattr(request, "htmx", False) else redirect(row)


@require_GET
async def stream(request: HttpRequest, run_id: UUID) -> StreamingHttpResponse:
    """The run as HTML fragments for htmx: `restart`, `first`, `token`, `stats`, `end`, then `close`.

    ?column: the end comes as a column of its job.
    """
    account = await request.auser()
    if not isinstance(account, Account):
        raise Refusal(
            Code.NOT_SIGNED_IN,
            "You are not signed in any more.",
            "Sign in again; the run goes on meanwhile.",
            url=reverse("account_login"),
        )
    row = await sync_to_async(selectors.run_visible_to)(account, run_id)
    awaits_first = last_event_id(request) == BEGINNING

    async def to_frames(entry: Entry) -> bytes:
        nonlocal awaits_first
        if entry.kind is Kind.END:
            return await sync_to_async(_end_frames)(request, account, run_id, entry)
        first = b""
        if awaits_first and entry.kind is Kind.TOKEN and entry.id and not entry.data.get("p"):
            awaits_first = False
            first = _first_frame(row, entry)
        return _frames(entry) + first

    return await sse_response(row, request, Reader(account, to_frames, _refusal_frames))


def _refusal_frames(refusal: Refusal) -> bytes:
    notice = render_to_string("inference_sandbox/_refusal.html", {"refusal": refusal})
    return sse_frame("end", notice) + sse_frame("close", "closed")


def _first_frame(run: Run, entry: Entry) -> bytes:
    """How long the first token took: it follows the token's own frame, under the same id."""
    seconds = max(0.0, at(entry.id) - run.created_at.timestamp())
    return sse_frame("first", f"first token after {seconds:.2f} s", entry.id)


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


def _end_frames(request: HttpRequest, account: Account, run_id: UUID, entry: Entry) -> bytes:
    """The finished panel takes the live one's place; `close` tells the browser to stay away."""
    run = selectors.run_visible_to(account, run_id)
    panel = panels.finished(
        run,
        mine=run.account_id == account.pk,
        in_column="column" in request.GET,
        csrf_token=get_token(request),
    )
    return sse_frame("end", panel, entry.id) + sse_frame("close", "closed", entry.id)
