"""What the views of the protocol ask: who is it, which release, which revision, in the hub's words."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from distribution import selectors
from distribution.hub.errors import REVISION_NOT_FOUND
from distribution.models import Revision
from portal.accounts.authentication import token_of
from portal.accounts.models import Account, ApiToken
from portal.catalog.models import Release
from portal.refusals import Code, Refusal


@dataclass(frozen=True)
class Asker:
    """Who asks: a person by a token of theirs, or nobody we know."""

    account: Account | AnonymousUser
    token: ApiToken | None


def asker(request: HttpRequest) -> Asker:
    """Raises AuthenticationFailed for a token that is no good."""
    token = token_of(request)
    return Asker(token.account if token else AnonymousUser(), token)


def revision(release: Release, name: str) -> Revision:
    """The revision of that name. Raises Refusal as `selectors.revision_named` does."""
    try:
        found = selectors.revision_named(release, name)
    except Refusal as refusal:
        if refusal.code == Code.NOT_FOUND:
            refusal.headers = {**REVISION_NOT_FOUND, **refusal.headers}
        raise
    found.release = release  # read already, with its family and licence
    return found


def in_two(rest: str) -> tuple[str, str]:
    """`main/params.json` → revision and path. Neither a branch nor a tag of ours holds a slash."""
    rev, _, path = rest.partition("/")
    return rev, path


def is_true(data: Any, name: str) -> bool:
    """A flag of a query, a form or a JSON body. `requests` writes `True`, others `true` or `1`."""
    value = data.get(name) if hasattr(data, "get") else None
    return str(value).lower() in ("true", "1")
