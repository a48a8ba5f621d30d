"""Addresses of the hub protocol, at the root of the site. No slash at the end: the clients send none.

A repo of ours has two parts; whatever else is asked for as a repo is answered in words that a client understands.
"""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from distribution.hub import api, pages, views


class Repo(StringConverter):
    """`meta/llama-7b`"""

    regex = "[^/]+/[^/]+"


register_converter(Repo, "repo")
REPO = "api/models/<repo:repo>"

urlpatterns = [
    path("api/whoami-v2", api.WhoAmI.as_view(), name="hub-whoami"),
    path("api/agent-harnesses", api.Harnesses.as_view(), name="hub-harnesses"),
    path("api/models", api.Models.as_view(), name="hub-models"),
    path(REPO, api.ModelInfo.as_view(), name="hub-model"),
    path(f"{REPO}/revision/<path:rev>", api.ModelInfo.as_view(), name="hub-revision"),
    path(f"{REPO}/tree/<path:rest>", api.Tree.as_view(), name="hub-tree"),
    path(f"{REPO}/paths-info/<path:rev>", api.PathsInfo.as_view(), name="hub-paths"),
    path(f"{REPO}/refs", api.Refs.as_view(), name="hub-refs"),
    path(f"{REPO}/commits/<path:rev>", api.Commits.as_view(), name="hub-commits"),
    path(f"{REPO}/auth-check", api.AuthCheck.as_view(), name="hub-auth-check"),
    path(f"{REPO}/auth-check/write", api.WriteCheck.as_view(), name="hub-write-check"),
    path("<repo:repo>/resolve/<path:rest>", views.resolve, name="hub-resolve"),
    path("<repo:repo>/raw/<path:rest>", views.raw, name="hub-raw"),
    # Repos of one part, data sets, spaces, and calls that would change a repo.
    path("api/models/<path:rest>", api.Elsewhere.as_view(), name="hub-elsewhere"),
    path("api/datasets/<path:rest>", api.Elsewhere.as_view(), name="hub-datasets"),
    path("api/spaces/<path:rest>", api.Elsewhere.as_view(), name="hub-spaces"),
    path("<path:rest>/resolve/<path:file>", api.Elsewhere.as_view(), name="hub-no-file"),
    path("<path:rest>/raw/<path:file>", api.Elsewhere.as_view(), name="hub-no-file"),
    path("<repo:repo>/info/refs", pages.git, name="hub-git"),
    # For browsers.
    path("<repo:repo>", pages.page, name=pages.NAME),
    path("<repo:repo>/", pages.page, name=pages.NAME),
    path("<repo:repo>/tree/<path:rest>", pages.page, name=pages.NAME),
    path("<repo:repo>/blob/<path:rest>", pages.page, name=pages.NAME),
]
