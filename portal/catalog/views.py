"""The catalogue's pages."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from portal.catalog import selectors


def releases(request: HttpRequest) -> HttpResponse:
    return render(
        request, "catalog/releases.html", {"families": selectors.families_with_releases()}
    )


def release(request: HttpRequest, slug: str) -> HttpResponse:
    """One release: card, files, licence, and the one next step of the person who looks."""
    found = get_object_or_404(selectors.visible_releases(), slug=slug)
    context = {"release": found, "licence_version": found.family.licence.current}
    return render(request, "catalog/release.html", context)
