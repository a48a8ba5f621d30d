"""What pages of other floors show of published files: `{% load files %}`."""

from django import template

from distribution import selectors, signing, sizes
from distribution.models import Artifact
from portal.catalog.models import Release
from portal.refusals import Refusal

register = template.Library()


@register.simple_tag
def release_files(release: Release) -> list[Artifact]:
    """`{% release_files release as files %}`: the files of the current revision; empty where
    none can be had.
    """
    try:
        return list(selectors.files(release))
    except Refusal:
        return []


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
