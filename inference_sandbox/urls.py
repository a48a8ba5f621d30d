"""Addresses of the sandbox's pages."""

from django.urls import path

from inference_sandbox import run_pages, views

app_name = "inference_sandbox"
urlpatterns = [
    path("", views.playground, name="playground"),
    path("runs/", views.runs, name="runs"),
    path("runs/export/<slug:kind>/", run_pages.export_all, name="export"),
    path("runs/<uuid:run_id>/", run_pages.show, name="run"),
    path("runs/<uuid:run_id>/stream/", views.stream, name="stream"),
    path("runs/<uuid:run_id>/cancel/", views.cancel, name="cancel"),
    path("runs/<uuid:run_id>/again/", run_pages.again, name="again"),
    path("runs/<uuid:run_id>/note/", run_pages.note, name="note"),
    path("runs/<uuid:run_id>/share/", run_pages.share, name="share"),
    path("runs/<uuid:run_id>/delete/", run_pages.delete, name="delete"),
    path("runs/<uuid:run_id>/report/", run_pages.report, name="report"),
    path("runs/<uuid:run_id>/run.json", run_pages.export_one, name="json"),
]
