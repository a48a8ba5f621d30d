"""The pages about runs that are there: their history, and one run with all that is done with it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from inference_sandbox import keeping, panels, repeating, reports, retention, selectors, snippets
from inference_sandbox.models import Report, Run
from inference_sandbox.records import ASKED, OUTCOME, record_of, whole_record_of
from portal import exports
from portal.accounts.views import person
from portal.catalog.models import Release
from portal.refusals import Refusal

PAGE = 25
EXPORTED_AT_ONCE = 200  # runs of one query
HEAD = ("id", "created_at", "release", "revision", "status", *ASKED, *OUTCOME, "note")


class ReportForm(forms.Form):
    problem = forms.ChoiceField(label="What is it?", choices=Report.Kind.choices)
    text = forms.CharField(
        label="What is wrong with it",
        help_text="The managers of this site read it, with the prompt and the answer.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


def history(request: HttpRequest) -> HttpResponse:
    """?q= words, ?status=, ?release= (a slug), ?page=."""
    account = person(request)
    asked = {
        "words": request.GET.get("q", "").strip()[:200],
        "status": request.GET.get("status", ""),
    }
    asked["release"] = request.GET.get("release", "").replace("\0", "")
    pages = Paginator(selectors.runs_found(account, **asked), PAGE)
    others = request.GET.copy()
    others.pop("page", None)
    context = {
        **asked,
        "page": pages.get_page(request.GET.get("page")),
        "statuses": Run.Status.choices,
        "releases": Release.objects.filter(pk__in=selectors.runs_of(account).values("release")),
        "others": others.urlencode(),
        "searched": any(asked.values()),
    }
    return render(request, "inference_sandbox/runs.html", context)


@login_required
@require_GET
def show(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The permanent page of a run, for its person and, where it is shared, for others."""
    return _page(request, selectors.run_visible_to(person(request), run_id))


def _page(
    request: HttpRequest, run: Run, form: ReportForm | None = None, status: int = 200
) -> HttpResponse:
    viewer = person(request)
    mine = run.account_id == viewer.pk
    context = {
        **panels.whole(run, mine=mine),
        "viewer": viewer,
        "seen": selectors.seen_among(viewer, (run.repeats_id, run.parent_id)),
        "comparison": repeating.comparison(run, viewer=viewer),
        "repetitions": selectors.runs_of(viewer).filter(repeats=run)[:10],
        "stops": [json.dumps(one, ensure_ascii=False) for one in run.stop],
        "curl": snippets.curl(run),
        "openai": snippets.openai(run),
        "kept_until": retention.kept_until(run),
        "reported": run.reports.filter(reporter=viewer).first(),
        "is_reported": mine and run.reports.filter(closed_at=None).exists(),
        "form": form or ReportForm(),
    }
    return render(request, "inference_sandbox/run.html", context, status=status)


@login_required
@require_POST
def again(request: HttpRequest, run_id: UUID) -> HttpResponse:
    return redirect(repeating.run_again(run_id, actor=person(request)))


@login_required
@require_POST
def note(request: HttpRequest, run_id: UUID) -> HttpResponse:
    run = keeping.write_note(run_id, actor=person(request), text=request.POST.get("note", ""))
    messages.success(request, "The note is kept." if run.note else "The note is gone.")
    return redirect(run)


@login_required
@require_POST
def share(request: HttpRequest, run_id: UUID) -> HttpResponse:
    shared = request.POST.get("shared") == "yes"
    run = keeping.share(run_id, actor=person(request), shared=shared)
    messages.success(request, "Shared." if shared else "Private again.")
    return redirect(run)


@login_required
@require_POST
def delete(request: HttpRequest, run_id: UUID) -> HttpResponse:
    keeping.delete(run_id, actor=person(request))
    messages.success(request, "The run is deleted.")
    return redirect("inference_sandbox:runs")


@login_required
@require_POST
def report(request: HttpRequest, run_id: UUID) -> HttpResponse:
    run = selectors.run_visible_to(person(request), run_id)
    form = ReportForm(request.POST)
    if not form.is_valid():
        return _page(request, run, form, status=400)
    try:
        kind, text = form.cleaned_data["problem"], form.cleaned_data["text"]
        reports.report(run.pk, actor=person(request), kind=kind, text=text)
    except Refusal as refusal:
        form.add_error("text" if refusal.fields else None, refusal.text)
        return _page(request, run, form, status=refusal.status)
    messages.success(request, "Reported. The managers of this site look at it, and answer by mail.")
    return redirect(run)


@login_required
@require_GET
def export_one(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """All of it, with what the model thought of each token. Another person's note stays theirs."""
    account = person(request)
    run = selectors.run_visible_to(account, run_id)
    told = whole_record_of(run)
    if run.account_id != account.pk:
        told.pop("note")
    response = HttpResponse(_dump(told, indent=2), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}.json"'
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_GET
def export_all(request: HttpRequest, kind: str) -> StreamingHttpResponse:
    """All runs that the person has now as JSONL or CSV, oldest first."""
    now = timezone.now()
    mine = selectors.runs_of(person(request)).filter(created_at__lte=now)

    def page(after: tuple[datetime, UUID]) -> tuple[Sequence[Run], tuple[datetime, UUID] | None]:
        at, pk = after
        rest = mine.filter(created_at__gte=at).exclude(created_at=at, pk__lte=pk)
        rows = list(rest.order_by("created_at", "pk")[:EXPORTED_AT_ONCE])
        more = len(rows) == EXPORTED_AT_ONCE
        return rows, (rows[-1].created_at, rows[-1].pk) if more else None

    def cells(run: Run) -> list[Any]:
        told = record_of(run)
        values = (told[name] for name in HEAD)
        return [_dump(value) if isinstance(value, list | dict) else value for value in values]

    return exports.export(
        f"runs-{now:%Y%m%d-%H%M}",
        kind,
        head=HEAD,
        page=page,
        start=(datetime.min.replace(tzinfo=UTC), UUID(int=0)),
        line=lambda run: _dump(record_of(run)).encode(),
        cells=cells,
    )


def _dump(value: Any, **options: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, **options)
