"""Addresses of the REST face."""

from django.urls import path

from distribution import api, exports
from distribution.script.api import Plain

REVISION = "releases/<slug:slug>/revisions/<str:revision>/"

urlpatterns = [
    path("releases/<slug:slug>/files/", api.Files.as_view(), name="api-release-files"),
    path("releases/<slug:slug>/links/", api.Links.as_view(), name="api-release-links"),
    path("plain/", Plain.as_view(), name="api-plain"),
    path(REVISION + "manifest.json", exports.Manifest.as_view(), name="api-manifest"),
    path(REVISION + "manifest.json.sig", exports.Signature.as_view(), name="api-signature"),
    path(REVISION + "SHA256SUMS", exports.Sums.as_view(), name="api-sums"),
    path(REVISION + "files.meta4", exports.Metalink.as_view(), name="api-metalink"),
]
