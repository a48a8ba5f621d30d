"""What pages of other layers show of the sandbox: `{% load sandbox %}`."""

from django import template

from distribution.models import Revision
from inference_sandbox import selectors
from portal.catalog.models import Release

register = template.Library()


@register.simple_tag
def unfinished_runs(release: Release, revision: Revision | None = None) -> int:
    """`{% unfinished_runs release revision as runs %}`: how many runs are queued or running."""
    return selectors.unfinished_runs(release, revision).count()
