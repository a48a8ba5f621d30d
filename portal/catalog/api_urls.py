"""Addresses of the catalogue's REST face."""

from django.urls import path

from portal.catalog import api

urlpatterns = [
    path("releases/", api.ReleaseList.as_view(), name="api-releases"),
    path("releases/<slug:slug>/", api.ReleaseDetail.as_view(), name="api-release"),
]
