"""Addresses of the sandbox's pages."""

from django.urls import path

from inference_sandbox import views

app_name = "inference_sandbox"
urlpatterns = [
    path("", views.playground, name="playground"),
    path("runs/", views.runs, name="runs"),
    path("runs/<uuid:run_id>/", views.run, name="run"),
    path("runs/<uuid:run_id>/stream/", views.stream, name="stream"),
    path("runs/<uuid:run_id>/cancel/", views.cancel, name="cancel"),
]
