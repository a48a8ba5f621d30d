"""`/{repo}/resolve/{rev}/{file}` and `/{repo}/raw/{rev}/{file}`: the bytes of a file, for a token."""

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe
from rest_framework.exceptions import AuthenticationFailed

from access_requests.selectors import release_known_to, require_metadata
from distribution import generated, selectors, services
from distribution.hub import card, errors, reading
from distribution.hub.reading import Asker
from distribution.hub.tree import File
from distribution.models import Revision
from distribution.views import ask_of, download
from portal import throttling
from portal.absolute_urls import absolute_url
from portal.accounts.models import Scope
from portal.accounts.permissions import require_scope
from portal.catalog.models import Release
from portal.refusals import Refusal

HUB_CLIENT = re.compile(r"\bhf_hub/(\d{1,4})\.(\d{1,4})\.")


@dataclass(frozen=True)
class Found:
    """A file that the asker may have. link: the token under which it is handed over; "" for a text of
    ours. modified_at: None for the card, whose text can change without a new revision.
    """

    revision: Revision
    file: File
    link: str = ""
    modified_at: datetime | None = None


@throttling.counts_itself
@require_safe
async def resolve(request: HttpRequest, repo: str, rest: str) -> HttpResponseBase:
    """The file, under the grant of whoever the token belongs to.

    A branch is answered itself: old clients do not send their token again after a redirect.
    """
    return await _answer(request, repo, rest)


@throttling.counts_itself
@require_safe
async def raw(request: HttpRequest, repo: str, rest: str) -> HttpResponseBase:
    """The same file as git has it: in the place of a large one, its pointer (Git LFS)."""
    return await _answer(request, repo, rest, as_git=True)


async def _answer(
    request: HttpRequest, repo: str, rest: str, *, as_git: bool = False
) -> HttpResponseBase:
    rev, path = reading.in_two(rest)
    try:
        found = await sync_to_async(_find)(request, repo, rev, path, as_git=as_git)
        response = await _hand_over(request, found, of_branch=selectors.is_branch(rev))
    except (Refusal, AuthenticationFailed) as error:
        return errors.respond(request, error)
    if not as_git and (address := _pinned_address(request, repo, rev, found)):
        response["Location"] = address
    response["X-Repo-Commit"] = found.revision.digest
    response["X-Linked-Etag"] = f'"{found.file.etag}"'
    response["X-Linked-Size"] = str(found.file.size)
    response["Cache-Control"] = "private, no-store"
    return response


async def _hand_over(request: HttpRequest, found: Found, *, of_branch: bool) -> HttpResponseBase:
    """The whole file or the part that the request names. Raises the Refusal of the grant, the quota or the range."""
    if found.link:
        return await download(request, found.link, found.file.path, of_branch=of_branch)
    kind = "text/markdown" if found.file.path == card.NAME else "text/plain"
    return generated.respond(
        request,
        found.file.text,
        f"{kind}; charset=utf-8",
        etag=found.file.etag,
        modified_at=found.modified_at,
        of_branch=of_branch,
    )


def _pinned_address(request: HttpRequest, repo: str, rev: str, found: Found) -> str:
    """The commit's address of a file that a HEAD named by a branch; "" where the client would not use it well.

    huggingface_hub since 0.21 takes `Location` from a 200 too, and downloads from there, with its token if the origin
    is the same. So a branch that moves meanwhile, or before a resume, does not mix two revisions. 0.20 would go there
    without its token.
    """
    client = HUB_CLIENT.search(request.headers.get("User-Agent", ""))
    if request.method != "HEAD" or rev == found.revision.digest or client is None:
        return ""
    keeps_token = (int(client[1]), int(client[2])) >= (0, 21)
    is_canonical = request.get_host() == urlsplit(settings.BASE_URL).netloc
    path = f"{found.revision.digest}/{found.file.path}"
    place = absolute_url(reverse("hub-resolve", args=[repo, path]))
    return place if keeps_token and is_canonical else ""


def _find(request: HttpRequest, repo: str, rev: str, path: str, *, as_git: bool) -> Found:
    """In this order: the token, the repo, the gate, the revision, the file."""
    asker = reading.asker(request)
    throttling.check(request, account=asker.account, token=asker.token)
    release = release_known_to(asker.account, repo)
    if path == card.NAME and (found := _card(asker, release, rev)):
        return found
    if asker.token:
        require_scope(asker.token, Scope.DOWNLOAD)
    ask = ask_of(request)
    grant = services.require_grant(release, rev, path, actor=asker.account, ask=ask)
    revision = reading.revision(release, rev)
    artifact = selectors.artifact_at(revision, path)
    if artifact is None:
        raise errors.entry_not_found(repo, path, revision.digest)
    file = File.of(artifact)
    if as_git and file.is_large:
        return Found(revision, file.as_pointer(), modified_at=revision.created_at)
    return Found(revision, file, services.link_at_once(grant, artifact))


def _card(asker: Asker, release: Release, rev: str) -> Found | None:
    """The card is open to whoever may read the metadata; None where it is a published file."""
    if asker.token:
        require_scope(asker.token, Scope.READ, Scope.DOWNLOAD)
    require_metadata(asker.account, release)
    revision = reading.revision(release, rev)
    if selectors.artifact_at(revision, card.NAME):
        return None
    return Found(revision, File.card(release, revision))
