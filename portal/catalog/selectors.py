"""Reads of the catalogue."""

from django.db.models import Prefetch, QuerySet

from portal.catalog.models import Family, Release


def visible_releases() -> "QuerySet[Release]":
    """What everybody may know of; a withdrawn release stays listed so that its holders learn of it."""
    return Release.objects.select_related("family", "family__licence")


def open_releases(family: Family) -> "QuerySet[Release]":
    """The releases of a family that one can apply for."""
    return family.releases.exclude(status=Release.Status.WITHDRAWN)


def families_with_releases() -> "QuerySet[Family]":
    return Family.objects.select_related("licence").prefetch_related(
        Prefetch("releases", queryset=Release.objects.order_by("position", "repo_id"))
    )
