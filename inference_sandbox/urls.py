"""Addresses."""

from django.urls import URLPattern

app_name = "inference_sandbox"
urlpatterns: list[URLPattern] = []
