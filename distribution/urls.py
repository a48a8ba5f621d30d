"""Addresses."""

from django.urls import path, re_path

from distribution import views

app_name = "distribution"
urlpatterns = [
    path("releases/<slug:slug>/files/", views.files, name="files"),
    path("releases/<slug:slug>/download.sh", views.script, name="script"),
    path("download/<str:token>/<path:filename>", views.download, name="download"),
    # A link with a line break in it, or whose slash before the file name was lost or encoded.
    re_path(r"^download/(?P<rest>[\s\S]+)$", views.pasted_download, name="pasted"),
]
