"""Addresses of the audit log's REST face."""

from django.urls import path

from portal.audit import api

urlpatterns = [
    path("events/", api.EventList.as_view(), name="api-events"),
    path("events/export.<slug:kind>", api.EventExport.as_view(), name="api-events-export"),
    path("events/<int:id>/proof/", api.EventProof.as_view(), name="api-event-proof"),
]
