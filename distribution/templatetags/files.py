"""What pages of other floors show of published files: `{% load files %}`."""

from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser

from access_requests.models import Grant
from access_requests.selectors import require_metadata
from distribution import clients, reports, selectors, signing, sizes
from distribution.clients import Client
from distribution.models import Alarm, Artifact
from portal.catalog.models import Release
from portal.refusals import Refusal

register = template.Library()


@register.simple_tag(takes_context=True)
def release_files(context: dict[str, Any], release: Release) -> list[Artifact]:
    """`{% release_files release as files %}`: the files of the current revision; empty where
    none can be had, or this person may not read what is known of them.
    """
    request = context.get("request")
    try:
        require_metadata(request.user if request else AnonymousUser(), release)
        return list(selectors.files(release))
    except Refusal:
        return []


@register.simple_tag
def files_refusal(release: Release) -> Refusal | None:
    """`{% files_refusal release as refusal %}`: why nobody can have the release's files now."""
    try:
        selectors.current_revision(release)
    except Refusal as refusal:
        return refusal
    return None


@register.simple_tag
def sandbox_note(release: Release) -> str:
    """`{% sandbox_note release as note %}`: why the sandbox cannot run the current files; empty
    where it can, or where there are none.
    """
    try:
        return selectors.current_revision(release).sandbox_note
    except Refusal:
        return ""


@register.simple_tag
def client_lines(release: Release, artifacts: list[Artifact]) -> list[Client]:
    """`{% client_lines release artifacts as clients %}`: what to type into each program."""
    return clients.clients(release, artifacts)


@register.simple_tag
def manifest_key() -> dict[str, str]:
    """`{% manifest_key as key %}`: the `public` key of the signatures on manifests, and its `id`."""
    return {"public": signing.public_key(), "id": signing.public_key_id()}


@register.filter
def filesize(size: int) -> str:
    """`{{ artifact.size|filesize }}` → `13.5 GB`."""
    return sizes.human(size)


@register.filter
def exact_size(size: int) -> str:
    """`{{ artifact.size|exact_size }}` → `13,476,839,424 bytes`."""
    return sizes.exact(size)


@register.simple_tag
def standing_alarms(grant: Grant) -> list[Alarm]:
    """`{% standing_alarms grant as alarms %}`: what no manager has looked at yet."""
    return list(reports.standing_alarms(grant=grant))


@register.filter
def unlocalized(number: float) -> str:
    """`{{ bar.x|unlocalized }}` → `12.5`: a number as SVG takes it."""
    return f"{number:g}"
