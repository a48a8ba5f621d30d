"""What pages of other floors show of published files: `{% load files %}`."""

from django import template

from access_requests.models import Grant
from distribution import reports, selectors, sizes
from distribution.models import Alarm, Artifact
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
