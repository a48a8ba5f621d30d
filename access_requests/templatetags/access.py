"""`{% load access %}`: the one next step of the person who looks, and codes in words."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser

from access_requests import selectors, words
from portal.catalog.models import Release

register = template.Library()
register.filter("done", words.done)
register.filter("closed", words.closed)


@register.filter
def at(things: Mapping[str, Any], key: str) -> Any:
    """What stands under a key; None when nothing does."""
    return things.get(key)


@register.simple_tag(takes_context=True)
def next_step(
    context: dict[str, Any], release: Release, sandbox_note: str = ""
) -> selectors.NextStep:
    """`{% next_step release sandbox_note=note as step %}`"""
    request = context.get("request")
    account = request.user if request else AnonymousUser()
    return selectors.next_step(account, release, sandbox_note=sandbox_note)
