"""Addresses of the sandbox's pages."""

from django.urls import path

from inference_sandbox import run_pages, views, views_jobs, views_tokens

app_name = "inference_sandbox"
urlpatterns = [
    path("", views.playground, name="playground"),
    path("runs/", views.runs, name="runs"),
    path("runs/export/<slug:kind>/", run_pages.export_all, name="export"),
    path("runs/<uuid:run_id>/", run_pages.show, name="run"),
    path("runs/<uuid:run_id>/stream/", views.stream, name="stream"),
    path("runs/<uuid:run_id>/place/", views.place, name="place"),
    path("runs/<uuid:run_id>/cancel/", views.cancel, name="cancel"),
    path("runs/<uuid:run_id>/again/", run_pages.again, name="again"),
    path("runs/<uuid:run_id>/note/", run_pages.note, name="note"),
    path("runs/<uuid:run_id>/share/", run_pages.share, name="share"),
    path("runs/<uuid:run_id>/delete/", run_pages.delete, name="delete"),
    path("runs/<uuid:run_id>/report/", run_pages.report, name="report"),
    path("runs/<uuid:run_id>/run.json", run_pages.export_one, name="json"),
    path("runs/<uuid:run_id>/tokens/", views_tokens.tokens, name="tokens"),
    path("runs/<uuid:run_id>/branch/", views_tokens.branch, name="branch"),
    path("runs/<uuid:run_id>/regenerate/", views_tokens.regenerate, name="regenerate"),
    path("runs/<uuid:run_id>/reply/", views_tokens.reply, name="reply"),
    path("compare/", views_jobs.compare, name="compare"),
    path("sweep/", views_jobs.sweep, name="sweep"),
    path("jobs/<uuid:job_id>/", views_jobs.job, name="job"),
    path("jobs/<uuid:job_id>/cancel/", views_jobs.cancel, name="cancel-job"),
    path("jobs/<uuid:job_id>/results.csv", views_jobs.export, {"kind": "csv"}, name="results-csv"),
    path(
        "jobs/<uuid:job_id>/results.jsonl",
        views_jobs.export,
        {"kind": "jsonl"},
        name="results-jsonl",
    ),
]
