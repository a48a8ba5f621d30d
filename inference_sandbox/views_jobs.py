"""Side by side and sweeps: their forms, and the page of a job."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from inference_sandbox import jobs, panels, results, selectors
from inference_sandbox.asking import Asked
from inference_sandbox.forms import ALTERNATIVES, Columns, CompareForm, SweepForm, defaults
from inference_sandbox.models import Job, Run
from inference_sandbox.reading import LEGEND
from portal.accounts.views import person
from portal.catalog.models import Release
from portal.refusals import Refusal


@login_required
@require_http_methods(["GET", "POST"])
def compare(request: HttpRequest) -> HttpResponse:
    releases = list(selectors.playable_releases(person(request)))
    if not releases:
        return redirect("inference_sandbox:playground")
    if request.method == "GET":
        common = CompareForm(initial={**defaults(), "mode": _usual_mode(releases)})
        return _compare_form(request, common, Columns(initial=_two(releases), **_of(releases)))
    common, columns = CompareForm(request.POST), Columns(request.POST, **_of(releases))
    job = _compared(request, common, columns)
    return redirect(job) if job else _compare_form(request, common, columns, status=400)


def _of(releases: list[Release]) -> dict[str, Any]:
    return {"prefix": "columns", "form_kwargs": {"releases": releases}}


def _two(releases: list[Release]) -> list[dict[str, Any]]:
    """Two columns to begin with: two releases, or one at two temperatures. And room for two more."""
    usual = {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "repetition_penalty": 1.0, "seed": 1}
    second = releases[min(1, len(releases) - 1)]
    warmer = {} if second != releases[0] else {"temperature": 0.0}
    return [
        {**usual, "release": releases[0].slug},
        {**usual, "release": second.slug, **warmer},
        usual,
        usual,
    ]


def _usual_mode(releases: list[Release]) -> Run.Mode:
    return Run.Mode.CHAT if selectors.offers_chat(releases[0]) else Run.Mode.PLAIN


def _compared(request: HttpRequest, common: CompareForm, columns: Any) -> Job | None:
    if not (common.is_valid() and columns.is_valid()):
        return None
    told = {"logprobs": ALTERNATIVES, "prompt_logprobs": ALTERNATIVES}
    try:
        asked: list[tuple[Release, Asked]] = [
            (
                selectors.release_named(column.cleaned_data["release"]),
                {**common.cleaned_data, **told, **column.asked()},  # type: ignore[typeddict-item]
            )
            for column in columns
            if column.cleaned_data.get("release")
        ]
        return jobs.compare(actor=person(request), columns=asked)
    except Refusal as refusal:
        common.refuse(refusal)
        return None


def _compare_form(
    request: HttpRequest, common: CompareForm, columns: Any, status: int = 200
) -> HttpResponse:
    context = {"form": common, "columns": columns}
    return render(request, "inference_sandbox/compare.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
def sweep(request: HttpRequest) -> HttpResponse:
    releases = list(selectors.playable_releases(person(request)))
    if not releases:
        return redirect("inference_sandbox:playground")
    usual = {**defaults(), "mode": _usual_mode(releases), "max_tokens": 64}
    initial = {**usual, "temperatures": "0, 0.5, 1", "seeds": "1-4"}
    form = SweepForm(request.POST or None, initial=initial, releases=releases)
    job = _swept(request, form) if request.method == "POST" else None
    if job:
        return redirect(job)
    status = 400 if request.method == "POST" else 200
    context = {"form": form, "most": jobs.MOST_CELLS}
    return render(request, "inference_sandbox/sweep.html", context, status=status)


def _swept(request: HttpRequest, form: SweepForm) -> Job | None:
    if not form.is_valid():
        return None
    values = form.cleaned_data
    try:
        return jobs.sweep(
            actor=person(request),
            release=selectors.release_named(values["release"]),
            temperatures=values["temperatures"],
            seeds=values["seeds"],
            **form.asked(),
        )
    except Refusal as refusal:
        form.refuse(refusal)
        return None


@login_required
@require_GET
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The page of a job. A sweep's page asks for itself again until all is over."""
    row = selectors.job_of(person(request), job_id)
    found = results.of_job(row)
    if row.kind == Job.Kind.COMPARISON:
        columns = [(result, panels.column(result.run)) for result in found.results]
        context: dict[str, Any] = {
            "job": row,
            "results": found,
            "columns": columns,
            "legend": LEGEND,
        }
        return render(request, "inference_sandbox/comparison.html", context)
    return render(request, "inference_sandbox/job.html", {"job": row, "results": found})


@login_required
@require_GET
def export(request: HttpRequest, job_id: UUID, kind: str) -> HttpResponseBase:
    return results.export(selectors.job_of(person(request), job_id), kind)


@login_required
@require_POST
def cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    return redirect(jobs.cancel(job_id, actor=person(request)))
