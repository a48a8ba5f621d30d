"""The script, made for one grant, or for whoever has a token."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from access_requests.models import Tier
from access_requests.selectors import grant_for
from distribution import selectors
from distribution.script import keys
from distribution.script.filling import NAME, filled
from portal.accounts.models import Account
from portal.catalog.models import Release


@login_required
@require_safe
def script(request: HttpRequest, slug: str) -> HttpResponse:
    """The script with a key to the person's grant in it. Raises the Refusal of grant or release."""
    release = get_object_or_404(Release, slug=slug)
    assert isinstance(request.user, Account)
    grant = grant_for(request.user, release, tier=Tier.WEIGHTS)
    selectors.current_revision(release)
    return _file(filled(release=release.slug, key=keys.make(grant)), f"{NAME}-{release.slug}.sh")


@require_safe
def generic_script(request: HttpRequest) -> HttpResponse:
    """The script without a secret: it works with a token. For everybody."""
    return _file(filled(), f"{NAME}.sh")


def _file(text: str, name: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/x-shellscript; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response
