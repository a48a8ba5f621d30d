"""Addresses."""

from django.urls import path

from distribution import views

app_name = "distribution"
urlpatterns = [
    path("manifest-key.pub", views.manifest_key, name="manifest-key"),
    path("releases/<slug:slug>/files/", views.files, name="files"),
    path("releases/<slug:slug>/download.sh", views.script, name="script"),
    path("download/<str:token>/<path:filename>", views.download, name="download"),
]
