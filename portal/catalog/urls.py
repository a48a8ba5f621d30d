"""Addresses of the catalogue."""

from django.urls import path

from portal.catalog import views

app_name = "catalog"
urlpatterns = [
    path("releases/", views.releases, name="releases"),
    path("releases/<slug:slug>/", views.release, name="release"),
]
