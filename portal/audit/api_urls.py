"""Addresses of the audit log's REST face."""

from django.urls import path

from portal.audit import api

urlpatterns = [path("events/", api.EventList.as_view(), name="api-events")]
