"""Addresses of a repo that lead elsewhere: for people with a browser to the release's page, for git to `hf`."""

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404
from django.urls import Resolver404, resolve
from django.views.decorators.http import require_safe

from portal.catalog import selectors
from portal.refusals import Code, Refusal

NAME = "hub-page"


def page(request: HttpRequest, repo: str, rest: str = "") -> HttpResponse:
    """`/{repo}` and what a hub has below it lead to the release's page, which shows each visitor what they may see."""
    if _is_another_page(f"{request.path_info}/"):
        # CommonMiddleware adds a slash where no pattern matches without it; this one would.
        return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    name = repo.removesuffix(".git").replace("\0", "")
    release = get_object_or_404(selectors.visible_releases(), repo_id__iexact=name)
    return HttpResponseRedirect(release.get_absolute_url())


def _is_another_page(path: str) -> bool:
    try:
        return resolve(path).url_name != NAME
    except Resolver404:
        return False


@require_safe
def git(request: HttpRequest, repo: str) -> HttpResponse:
    """`git clone` shows the text of this refusal. It says nothing about the repo, which may be none of ours."""
    raise Refusal(
        Code.NOT_ALLOWED,
        "Models are not cloned with git here.",
        f"Download with `HF_ENDPOINT={settings.BASE_URL} hf download {repo.removesuffix('.git')}` and a token "
        "with the scope `download` in HF_TOKEN.",
        url="/account/tokens/",
    )
