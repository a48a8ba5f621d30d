"""Addresses."""

from django.urls import path

from distribution import views
from distribution.script import views as script

app_name = "distribution"
urlpatterns = [
    path("manifest-key.pub", views.manifest_key, name="manifest-key"),
    path("releases/<slug:slug>/files/", views.files, name="files"),
    path("releases/<slug:slug>/download.sh", script.script, name="script"),
    path("weighbridge-download.sh", script.generic_script, name="generic-script"),
    path("download/<str:token>/<path:filename>", views.download, name="download"),
]
