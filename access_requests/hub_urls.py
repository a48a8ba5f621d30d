"""Addresses of the hub's access requests. No slash at the end: the clients send none."""

from django.urls import path

from access_requests import hub_api

BASE = "api/models/<path:repo>/user-access-request"
urlpatterns = [
    path(f"{BASE}/handle", hub_api.Handle.as_view(), name="hub-access-handle"),
    path(f"{BASE}/grant", hub_api.GrantAccess.as_view(), name="hub-access-grant"),
    path(f"{BASE}/<slug:status>", hub_api.AccessRequests.as_view(), name="hub-access-requests"),
]
