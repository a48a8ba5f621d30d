"""Addresses of the sandbox's REST face."""

from django.urls import path

from inference_sandbox import api

urlpatterns = [
    path("releases/<slug:slug>/quota/", api.ReleaseQuota.as_view(), name="api-release-quota"),
    path("runs/", api.RunList.as_view(), name="api-runs"),
    path("runs/<uuid:run_id>/", api.RunDetail.as_view(), name="api-run"),
    path("runs/<uuid:run_id>/stream/", api.stream, name="api-run-stream"),
    path("runs/<uuid:run_id>/cancel/", api.RunCancel.as_view(), name="api-run-cancel"),
]
