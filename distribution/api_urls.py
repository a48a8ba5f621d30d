"""Addresses of the REST face."""

from django.urls import path

from distribution import api

urlpatterns = [
    path("releases/<slug:slug>/files/", api.Files.as_view(), name="api-release-files"),
    path("releases/<slug:slug>/links/", api.Links.as_view(), name="api-release-links"),
]
