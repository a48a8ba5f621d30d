"""Opening a file for whoever comes with a token of their own and no link: programs of the hub protocol."""

from datetime import timedelta

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from access_requests.models import Grant, Tier
from access_requests.selectors import grant_for, grants_of
from distribution import links, selectors
from distribution.models import Artifact
from distribution.services.serving import Ask, deny
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Refusal

AT_ONCE = timedelta(minutes=1)  # the link is opened in the request that makes it


def require_grant(
    release: Release, revision: str, path: str, *, actor: Account | AnonymousUser, ask: Ask
) -> Grant:
    """The grant that opens the weights now. Raises its Refusal, and writes the denial down, about the
    file that was asked for if there is one.

    Call it outside a transaction: the row of a denial has to stay.
    """
    try:
        return grant_for(actor, release, tier=Tier.WEIGHTS)
    except Refusal as refusal:
        if isinstance(actor, Account):
            grant = grants_of(actor).filter(release=release).first()
            artifact = selectors.artifact_named(release, revision, path)
            deny(ask, refusal, grant=grant, artifact=artifact, actor=actor)
        raise


def link_at_once(grant: Grant, artifact: Artifact) -> str:
    """The token of a link that this site opens itself, so that there is one way to a file's bytes: the
    same checks, rows and quotas. It leaves the house nowhere, so it is no event.
    """
    return links.token(grant.pk, artifact, expires_at=timezone.now() + AT_ONCE)
