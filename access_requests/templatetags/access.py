"""`{% load access %}{% next_step release as step %}`: the one next step of the person who looks."""

from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser

from access_requests import selectors
from portal.catalog.models import Release

register = template.Library()


@register.simple_tag(takes_context=True)
def next_step(context: dict[str, Any], release: Release) -> selectors.NextStep:
    request = context.get("request")
    return selectors.next_step(request.user if request else AnonymousUser(), release)
