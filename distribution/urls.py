"""Addresses."""

from django.urls import path, re_path

from distribution import views
from distribution.script import views as script

app_name = "distribution"
urlpatterns = [
    path("manifest-key.pub", views.manifest_key, name="manifest-key"),
    path("releases/<slug:slug>/files/", views.files, name="files"),
    path("releases/<slug:slug>/download.sh", script.script, name="script"),
    path("weighbridge-download.sh", script.generic_script, name="generic-script"),
    path("download/<str:token>/<path:filename>", views.download, name="download"),
    # A link with a line break in it, or whose slash before the file name was lost or encoded.
    re_path(r"^download/(?P<rest>[\s\S]+)$", views.pasted_download, name="pasted"),
]
